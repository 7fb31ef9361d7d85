from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from aistemsplitter_server.accounts.scopes import ALL, Scope
from aistemsplitter_server.api import responses
from aistemsplitter_server.api.app import routed
from aistemsplitter_server.api.openapi import document
from aistemsplitter_server.kit import errors
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.webhooks.tables import EVENT_TYPES
from customers import customer
from databases import only_sqlite

CHECKED_IN = Path(__file__).parents[3] / "docs" / "openapi.json"
BASE_URL = "http://127.0.0.1:8000"


SCOPED = [
    (method.upper(), path, scope)
    for path, methods in document(routed(), BASE_URL)["paths"].items()
    for method, operation in methods.items()
    for requirement in operation.get("security", [])
    for scope in requirement["apiKey"]
]


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    paths = document(routed(), BASE_URL)["paths"]
    return [(path, method, of) for path in paths for method, of in paths[path].items()]


def test_the_document_is_valid() -> None:
    made = document(routed(), BASE_URL)
    assert made["openapi"].startswith("3.1.")
    validate(made)


def test_the_file_in_docs_is_this_document() -> None:
    made = json.dumps(document(routed(), BASE_URL), indent=2, ensure_ascii=False) + "\n"
    assert CHECKED_IN.read_text() == made, "aistemsplitter-server openapi > docs/openapi.json"


def test_the_order_of_the_tags() -> None:
    """The reference shows the operations in this order, under a heading for each tag."""
    made = document(routed(), BASE_URL)
    assert next(iter(made["paths"])) == "/v1/audio/splits"
    assert [*made["paths"]][-2:] == ["/healthz", "/readyz"]
    tags = [tag["name"] for tag in made["tags"]]
    assert [*dict.fromkeys(of["tags"][0] for _, _, of in operations())] == tags


def test_the_document_is_served(client: httpx2.Client) -> None:
    answer = client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert yaml.safe_load(client.get("/openapi.yaml").text) == answer.json()
    assert answer.json()["servers"] == [{"url": str(client.base_url).rstrip("/")}]
    assert answer.json()["paths"] == document(routed(), BASE_URL)["paths"]


def test_the_document_is_rendered_once(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Further requests cost nothing, whatever host name they use."""
    first = {path: client.get(path).content for path in ("/openapi.json", "/openapi.yaml")}
    monkeypatch.setattr("aistemsplitter_server.api.openapi.document", None)
    for path, before in first.items():
        assert client.get(path).content == before
        other = client.get(path, headers={"Host": "stems.example:1"}).content
        assert other == before.replace(client.base_url.netloc, b"stems.example:1")


def test_every_operation_documents_its_errors() -> None:
    for path, method, operation in operations():
        where = f"{method} {path}"
        answers = operation["responses"]
        assert "500" in answers, where
        assert ("security" in operation) == path.startswith("/v1/"), where
        if "security" in operation:
            assert {"401", "403", "429", "503"} <= answers.keys(), where
        for status, answer in answers.items():
            assert "Request-Id" in answer["headers"], (where, status)
    assert "HTTPValidationError" not in json.dumps(document(routed(), BASE_URL))


def test_operation_ids_are_unique() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    assert all(name.isalnum() and name[0].islower() for name in names), names


def test_examples_match_their_schemas() -> None:
    made = document(routed(), BASE_URL)
    checked = 0
    for path, method, operation in operations():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (body.get("content", {}).get("application/json") for body in bodies):
            if not media:
                continue
            samples = [one["value"] for one in media.get("examples", {}).values()]
            samples += [media["example"]] if "example" in media else []
            assert samples, f"{method} {path}"
            schema = {**media["schema"], "components": made["components"]}
            for sample in samples:
                Draft202012Validator(schema).validate(sample)
                checked += 1
    assert checked > 15


def test_webhooks() -> None:
    """Each type of event is a request with an example that matches its schema."""
    made = document(routed(), BASE_URL)
    assert {*made["webhooks"]} == {*EVENT_TYPES}
    for kind, methods in made["webhooks"].items():
        media = methods["post"]["requestBody"]["content"]["application/json"]
        validator = Draft202012Validator({**media["schema"], "components": made["components"]})
        validator.validate(media["example"])
        assert ("stems" in media["example"]["data"]) == (kind == "split.succeeded")
        assert not validator.is_valid({**media["example"], "type": "split.started"})


@only_sqlite
def test_the_scopes_of_operations(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    """A key with all scopes but a documented one is refused; one with only these is not."""
    assert len(SCOPED) > 20

    def refused(method: str, path: str, scopes: Iterable[Scope]) -> bool:
        who = customer(database, server_secrets, allowed=tuple(scopes))
        return client.request(method, path, headers=who.headers).status_code == 403

    for method, path, scope in SCOPED:
        assert refused(method, path, [each for each in ALL if each != scope]), (method, path)
        documented = [Scope(each[2]) for each in SCOPED if each[:2] == (method, path)]
        assert not refused(method, path, documented), (method, path)


def test_errors_of_one_status_are_alternatives() -> None:
    declared = responses.errors(errors.Conflict, errors.ModelUnavailable, errors.NotFound)
    schema = declared[409]["content"]["application/json"]["schema"]
    names = [choice["$ref"].rpartition("/")[2] for choice in schema["oneOf"]]
    assert names == ["ConflictError", "ModelUnavailableError"]
    assert declared[404]["description"] == "The thing does not exist, or is another account's."


def test_every_error_code_has_an_example() -> None:
    for kind in responses.kinds().values():
        sample = kind.example()
        Draft202012Validator(responses.schema(kind)).validate(sample.envelope())
        assert (sample.status, sample.code) == (kind.status, kind.code)
