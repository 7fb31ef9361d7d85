"""Every route with an id in its path, called with the key of another account."""

from __future__ import annotations

import httpx2
import pytest

from aistemsplitter_server.api.app import routed
from aistemsplitter_server.api.openapi import document
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from api.path_ids import path_ids
from customers import customer

ROUTES = [
    (method, path)
    for path, methods in document(routed(), "http://127.0.0.1")["paths"].items()
    for method in methods
    if path.startswith("/v1/") and "{" in path
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_objects_of_another_account_are_not_found(
    client: httpx2.Client, database: Database, server_secrets: Secrets, method: str, path: str
) -> None:
    owner, stranger = (customer(database, server_secrets) for _ in range(2))
    theirs = path.format(**path_ids(owner))
    body = {} if method.upper() == "PATCH" else None
    refused = client.request(method, theirs, json=body, headers=stranger.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "NOT_FOUND")
    allowed = client.request(method, theirs, json=body, headers=owner.headers)
    assert allowed.status_code in (200, 202, 409), allowed.text
