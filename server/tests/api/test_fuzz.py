"""The running server, fuzzed from its OpenAPI document: every response must be documented."""

from __future__ import annotations

import functools
import json

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.schemas import BaseSchema

from aistemsplitter_server.api.app import routed
from aistemsplitter_server.api.openapi import document
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits.tables import Split
from beating import beat
from customers import Customer, customer

EXAMPLES = 10  # requests per operation, database and mode (valid or invalid)
DOCUMENT = document(routed(), "")  # rendering it takes longer than the requests of a test
OPERATIONS = [
    (method.upper(), path, mode)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.keys() & {"parameters", "requestBody"}
]
load_all_checks()
CHECKED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "ignored_auth",
    ]
)
fuzzed = settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(name="settings")
def unlimited(settings: Settings) -> Settings:
    """Settings without limits."""
    return settings.model_copy(update={"rate_limit_per_minute": 0})


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    """A customer whose credits are never used up."""
    return customer(database, server_secrets, seconds=10**9)


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_an_operation(
    client: httpx2.Client,
    database: Database,
    someone: Customer,
    method: str,
    path: str,
    mode: GenerationMode,
) -> None:
    operation = _schema()[path][method]
    beat(database)
    known = _known(client, someone)
    if path.endswith("/events"):  # streams last until the split ends
        known["split_id"] = known["ended_split_id"]
    answered: list[int] = []

    @fuzzed
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Case) -> None:
        if len(answered) % 2:  # every second request uses existing ids
            _lead(case, known)
        response = case.call_and_validate(
            base_url=str(client.base_url), headers=someone.headers, checks=CHECKED, timeout=180
        )
        answered.append(response.status_code)

    fuzz()
    if mode is GenerationMode.POSITIVE and path.startswith("/v1/"):
        assert 200 in answered, "all responses were errors"


@functools.cache
def _schema() -> BaseSchema:
    return schemathesis.openapi.from_dict(json.loads(json.dumps(DOCUMENT)))


def _known(client: httpx2.Client, someone: Customer) -> dict[str, str]:
    """Return the ids of one object of each kind."""
    client.headers.update(someone.headers)
    upload, analysed = someone.upload(), someone.split()
    with someone.database.write() as session:
        grid = {"beats": [0, 500], "beatsPerBar": 2, "firstDownbeat": 0}
        session.get_one(Split, analysed.id).grid = grid
    body = someone.request(upload, webhookUrl="https://shop.example/hooks")
    ended = client.post("/v1/audio/splits", json=body).json()["data"]["id"]
    client.post(f"/v1/audio/splits/{ended}/cancel")
    deliveries = client.get("/v1/webhooks/deliveries").json()["data"]["items"]
    endpoint = {"url": "https://shop.example/all"}
    made = client.post("/v1/webhooks/endpoints", json=endpoint).json()["data"]
    return {
        "upload_id": upload.id,
        "split_id": analysed.id,
        "ended_split_id": ended,
        "delivery_id": deliveries[0]["id"],
        "endpoint_id": made["id"],
        "event_id": client.get("/v1/events").json()["data"]["items"][0]["id"],
    }


def _lead(case: Case, known: dict[str, str]) -> None:
    case.path_parameters |= {name: known[name] for name in known.keys() & case.path_parameters}
    if case.path.endswith("/redeliver"):
        case.body = {}
    if case.method.upper() == "PATCH":
        case.body = {"description": "orders"}
    if isinstance(case.body, dict) and isinstance(case.body.get("input"), dict):
        case.body = {
            "input": {"type": "uploaded_file", "uploadId": known["upload_id"]},
            "stemModel": "htdemucs_tiny",
            "metadata": case.body.get("metadata"),
        }
