"""Separation of test and live data: every endpoint, with a key of the other mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.api.app import routed
from aistemsplitter_server.api.openapi import document
from aistemsplitter_server.api.routes.credits import TEST_BALANCE
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits.tables import Split
from api.path_ids import path_ids
from customers import Customer, customer

OPERATIONS = {
    (method.upper(), path)
    for path, methods in document(routed(), "http://127.0.0.1")["paths"].items()
    for method in methods
    if path.startswith("/v1/")
}
WITH_ID = sorted((method, path) for method, path in OPERATIONS if "{" in path)
# Each of these is tested separately below, except the models, which belong to no account.
WITHOUT_ID = {
    ("GET", "/v1/credits"),
    ("GET", "/v1/models"),
    ("GET", "/v1/usage"),  # test_usage.py
    ("POST", "/v1/audio/uploads"),
    ("POST", "/v1/audio/splits"),
    ("GET", "/v1/audio/uploads"),
    ("GET", "/v1/audio/splits"),
    ("GET", "/v1/webhooks/deliveries"),
    ("GET", "/v1/webhooks/endpoints"),
    ("POST", "/v1/webhooks/endpoints"),  # test_endpoints.py
    ("GET", "/v1/events"),
}


@dataclass(frozen=True)
class Both:
    """Two keys of one account: the owner of the objects, and a key of the other mode."""

    owner: Customer
    other: Customer


@pytest.fixture(params=["of a live key", "of a test key"])
def both(request: pytest.FixtureRequest, database: Database, server_secrets: Secrets) -> Both:
    """Two keys in different modes."""
    live = customer(database, server_secrets)
    with database.write() as session:
        key = accounts.create_key(session, server_secrets, live.caller.account_id, test=True)
    caller = accounts.authenticate(database, server_secrets, key.api_key)
    test = Customer(database, caller, key.api_key, key.webhook_secret)
    return Both(live, test) if request.param == "of a live key" else Both(test, live)


def test_every_endpoint_is_covered() -> None:
    assert {*WITH_ID} | WITHOUT_ID == OPERATIONS


@pytest.mark.parametrize(("method", "path"), WITH_ID)
def test_objects_of_the_other_mode_are_not_found(
    client: httpx2.Client, both: Both, method: str, path: str
) -> None:
    theirs = path.format(**path_ids(both.owner))
    body = {} if method.upper() == "PATCH" else None
    refused = client.request(method, theirs, json=body, headers=both.other.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "NOT_FOUND")
    allowed = client.request(method, theirs, json=body, headers=both.owner.headers)
    assert allowed.status_code in (200, 202, 409), allowed.text


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/v1/audio/splits", 1),
        ("/v1/audio/uploads", 2),
        ("/v1/webhooks/deliveries", 1),
        ("/v1/webhooks/endpoints", 1),
        ("/v1/events", 1),
    ],
)
def test_lists(client: httpx2.Client, both: Both, path: str, number: int) -> None:
    path_ids(both.owner)

    def listed(who: Customer) -> int:
        return len(client.get(path, headers=who.headers).json()["data"]["items"])

    assert (listed(both.owner), listed(both.other)) == (number, 0)


def test_an_upload_can_only_be_split_in_its_mode(client: httpx2.Client, both: Both) -> None:
    upload = both.owner.upload()
    url = f"{client.base_url}/uploads/{upload.id}"
    by_id = both.owner.request(upload)
    by_url = by_id | {"input": {"type": "direct_url", "url": url}}

    def upload_of(who: Customer, body: dict[str, Any]) -> str | None:
        answer = client.post("/v1/audio/splits", json=body, headers=who.headers)
        if answer.status_code == 404:
            return None
        with who.database.read() as session:
            return session.get_one(Split, answer.json()["data"]["id"]).upload_id

    assert [upload_of(both.owner, body) for body in (by_id, by_url)] == [upload.id, upload.id]
    # For the other key the URL is an ordinary URL to fetch from.
    assert [upload_of(both.other, body) for body in (by_id, by_url)] == [None, None]


def test_idempotency_keys_of_the_two_modes_are_independent(
    client: httpx2.Client, both: Both
) -> None:
    upload = {"filename": "song.flac", "contentType": "audio/flac", "contentLength": 1000}
    for path, name, bodies in (
        ("/v1/audio/uploads", "uploadId", [upload, upload]),
        (
            "/v1/audio/splits",
            "id",
            [who.request(who.upload()) for who in (both.owner, both.other)],
        ),
    ):
        made = [
            client.post(path, json=body, headers=who.headers | {"Idempotency-Key": "key-1"})
            for who, body in zip((both.owner, both.other), bodies, strict=True)
        ]
        assert [answer.status_code for answer in made] == [200, 200]
        first, second = (answer.json()["data"][name] for answer in made)
        assert first != second
        again = client.post(
            path, json=bodies[0], headers=both.owner.headers | {"Idempotency-Key": "key-1"}
        )
        assert again.json()["data"][name] == first


def test_test_keys_have_a_separate_balance(client: httpx2.Client, both: Both) -> None:
    balances = {
        who.caller.is_test: client.get("/v1/credits", headers=who.headers).json()["data"]
        for who in (both.owner, both.other)
    }
    assert balances[False] == {"balance": 600, "unit": "seconds"}
    assert balances[True] == {"balance": TEST_BALANCE, "unit": "seconds"}
