"""Unexpected values in URLs, forms and headers never cause a server error."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import httpx2
import pytest
from fastapi.routing import APIRoute

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.web import sdk_wheel
from aistemsplitter_server.web.forms import Form
from estate import Estate, Things
from routes import BODIES, api_routes
from visitors import PASSWORD, Visitor, person

ODD = (
    "",
    "x",
    "-1",
    "9" * 30,
    "1e9",
    "9999-12-31",
    "' OR 1=1 --",
    "%_\\",
    "../../etc/passwd",
    "\r\nSet-Cookie: a=b",
    "Ω漢字😀\u202e\u0085\ufeff",
    "//[",
    "x" * 5000,
)
# Other fields of these forms, so that they are not rejected because of a missing field.
GOOD = {
    "/join/{token}": {"email": "eve@example.org", "password": PASSWORD},
    "/studio/songs/{split_id}/rename": {"title": "another"},
    "/settings/developer/keys": {"scope": "splits:read"},
    "/settings/webhooks/test": {"url": "https://example.com/"},
    "/operator/accounts": {"id": "acc_01JTB3Y6M8Q4W2N7C5D9E0F1GH", "name": "x", "minutes": "1"},
    "/operator/accounts/{account_id}/credits": {"kind": "grant", "minutes": "1", "reason": "x"},
    "/settings/account/password": {"present": "x", "password": PASSWORD},
}


def routes(method: str) -> Iterator[APIRoute]:
    """Return the pages' routes of a method."""
    return (route for route in api_routes() if method in route.methods)


def form_of(route: APIRoute) -> type[Form] | None:
    """Return valid values for the route's form."""
    for dependency in route.dependant.dependencies:
        assert dependency.call is not None
        model = inspect.getclosurevars(dependency.call).nonlocals.get("model")
        if inspect.isclass(model) and issubclass(model, Form):
            return model
    return None


@pytest.fixture
def boss(database: Database, server_secrets: Secrets) -> Person:
    """The operator, who may use every route."""
    return person(database, server_secrets, "owner@example.org", owner=True)


@pytest.fixture
def visitor(client: httpx2.Client, boss: Person) -> Visitor:
    """The operator's browser, signed in."""
    visitor = Visitor(client)
    assert visitor.sign_in(boss.email).status_code == 303
    return visitor


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings without rate limits."""
    return settings.model_copy(update={"rate_limit_per_minute": 0})


@pytest.fixture
def things(settings: Settings, database: Database, server_secrets: Secrets, boss: Person) -> Things:
    """The operator's objects."""
    made = Estate(database, server_secrets, configured(settings, server_secrets)).things(boss)
    wheel = sdk_wheel.wheel()
    assert wheel is not None
    return {
        **made,
        "token": made["shared"],
        "version": "x",
        "name": "base.css",
        "filename": wheel.filename,
    }


def path_of(route: APIRoute, things: Things) -> str:
    """Return a valid path of the route."""
    if route.path.startswith("/join"):
        things = {**things, "token": things["join"]}
    return route.path.replace(":path}", "}").format(**things)


def test_odd_values_in_urls(visitor: Visitor, things: Things) -> None:
    for route in routes("GET"):
        for field in route.dependant.query_params:
            for odd in ODD:
                asked = visitor.get(path_of(route, things), params={field.alias: odd})
                assert asked.status_code < 500, (route, field.alias, odd)
        for name in route.param_convertors:
            for odd in ODD[1:]:
                there = path_of(route, {**things, name: str(httpx2.QueryParams({"": odd}))[1:]})
                assert visitor.get(there).status_code < 500, (route, name, odd)


def test_odd_values_in_forms(visitor: Visitor, things: Things) -> None:
    for route in routes("POST"):
        model = form_of(route)
        for name in model.model_fields if model else ():
            for odd in ODD:
                form = {**GOOD.get(route.path, {}), name: odd}
                for made, new in (("id", ids.new("key")), ("entry", ids.new("ent"))):
                    if model and made in model.model_fields and name != made:
                        form[made] = new
                sent = visitor.post(path_of(route, things), form)
                assert sent.status_code < 500, (route, name, odd, sent.text)
    assert visitor.get("/studio").status_code == 200


def test_unknown_ids(visitor: Visitor, things: Things) -> None:
    for route in (*routes("GET"), *routes("POST")):
        if route.param_convertors and not route.path.startswith("/assets"):
            nothing = dict.fromkeys(things, ids.new("req"))
            form = dict(GOOD.get(route.path, {}))
            if route.path.endswith("/credits"):
                form["entry"] = ids.new("ent")
            if route.path.endswith(("/rotate", "/replace")):
                form["version"] = "x"
            path = path_of(route, nothing)
            if (body := BODIES.get(f"POST {route.path}")) is not None:
                headers = {"Sec-Fetch-Site": "same-origin"}
                asked = visitor.request("POST", path, json=body, headers=headers)
            else:
                asked = visitor.post(path, form) if "POST" in route.methods else visitor.get(path)
            assert asked.status_code == 404, (route, asked.status_code)


def test_odd_values_in_headers(visitor: Visitor) -> None:
    for name in ("Accept-Language", "User-Agent", "HX-Target", "Accept", "Last-Event-ID", "Host"):
        for odd in (b"\xff\xfe", b"x" * 20_000, b"zh;q=9,,;q=", b"[", b'"', b"\x85"):
            answer = visitor.client.get("/sign-in", headers={name: odd})
            assert answer.status_code < 500, (name, odd)
    for cookie in (b"__Host-session=\xff", b"=", b";;", b'__Host-session="', b"language=\xff"):
        answer = visitor.client.get("/studio", headers={"Cookie": cookie})
        assert answer.status_code < 500, cookie
