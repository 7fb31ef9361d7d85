"""Requests to every route of the pages, with and without the required rights."""

from __future__ import annotations

import logging
import re
import sqlite3
from datetime import timedelta
from html import unescape

import httpx2
import pytest
from fastapi import FastAPI

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.app import Dispatch, create_app
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits.tables import Share
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.web import sdk_wheel
from databases import only_sqlite
from estate import Estate, Things
from routes import BODIES, SAFE, Route, routes, served
from serving import serving
from visitors import PASSWORD, SESSION, Visitor, person

pytestmark = only_sqlite

ROUTES = routes()
# Routes that need no sign-in. A new one has to be added here deliberately.
OPEN = {
    "GET /",
    "GET /assets/{version}/{name:path}",
    "GET /manifest.webmanifest",
    "GET /sdk/{filename}",
    "GET /sign-in",
    "POST /sign-in",
    "POST /sign-out",
    "GET /join/{token}",
    "POST /join/{token}",
    "POST /language",
    "GET /shared/{token}",
    "GET /shared/{token}/player.json",
    "GET /shared/{token}/stems.zip",
}
# Forms that an endpoint validates before it checks who owns the object.
FORMS = {
    "POST /studio/songs/{split_id}/rename": {"title": "another"},
    "POST /settings/developer/keys/{key_id}/replace": {"version": "another"},
    "POST /settings/developer/keys/{key_id}/rotate": {"version": "another"},
    "POST /operator/accounts/{account_id}/credits": {
        "kind": "grant",
        "minutes": "5",
        "reason": "why not",
    },
}
# Routes for which the split must be in another state than succeeded.
STATES = {
    "POST /studio/songs/{split_id}/cancel": "queued",
    "POST /studio/songs/{split_id}/again": "failed",
    "POST /operator/splits/{split_id}/retry": "failed",
}
# The first request starts the listening copies; a repeated request changes nothing.
ASKS_ONCE = ("/player.json",)
JSON = {"Accept": "application/json"}
HTMX = {"HX-Request": "true"}
SAME = {"Sec-Fetch-Site": "same-origin"}
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.fixture(autouse=True)
def _every_answer_is_guarded(client: httpx2.Client) -> None:
    """Check the headers of every response in these tests."""
    client.event_hooks = {"response": [guarded]}


def guarded(answer: httpx2.Response) -> None:
    """Check the headers that restrict what browsers do with a page."""
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["script-src"] in ("'self'", "'self' 'wasm-unsafe-eval'")
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    if not answer.url.path.startswith(("/assets/", "/sdk/")):  # static files
        assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.fixture
def estate(settings: Settings, database: Database, server_secrets: Secrets) -> Estate:
    """Creates objects for people."""
    return Estate(database, server_secrets, configured(settings, server_secrets))


def address(route: Route, things: Things) -> str:
    """Return the path with these ids in it."""
    wheel = sdk_wheel.wheel()
    assert wheel is not None
    named = {
        **things,
        "split_id": things[STATES.get(str(route), "split_id")],
        "token": things["join" if route.path.startswith("/join") else "shared"],
        "version": "any",
        "name": "base.css",
        "filename": wheel.filename,
    }
    path = route.path.replace(":path}", "}").format(**named)
    return f"{path}?id={things['failed']}" if path.endswith("/events") else path


def send(visitor: Visitor, route: Route, things: Things, **headers: str) -> httpx2.Response:
    """Send the request as one of our pages would."""
    form = dict(FORMS.get(str(route), {}))
    if route.path.endswith("/credits"):
        form["entry"] = ids.new("ent")
    if route.path == "/operator/accounts/{account_id}/delete":
        form["name"] = things["account_name"]
    path = address(route, things)
    if (body := BODIES.get(str(route))) is not None:
        return visitor.request("POST", path, json=body, headers=SAME | headers)
    if route.method == "POST":
        return visitor.post(path, form, headers=headers)
    return visitor.request(route.method, path, headers=headers)


def dumped(settings: Settings) -> list[str]:
    """Return every row of the database."""
    assert settings.sqlite_file is not None
    with sqlite3.connect(settings.sqlite_file) as connection:
        lines = [*connection.iterdump()]
    connection.close()
    return lines


def test_every_route_is_covered(app: FastAPI) -> None:
    (dispatch,) = (each for each in app.user_middleware if each.cls is Dispatch)
    known = {str(route).replace(":path}", "}") for route in ROUTES}
    assert known == served(dispatch.kwargs["pages"])
    assert {str(route) for route in ROUTES if route.whom == "anyone"} == OPEN


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Origin": "http://["},
    ],
)
def test_requests_from_other_sites_change_nothing(
    owner: Visitor,
    ada: Person,
    estate: Estate,
    settings: Settings,
    headers: dict[str, str],
) -> None:
    things = estate.things(ada)
    before = dumped(settings)
    for route in ROUTES:
        if route.method not in SAFE:
            refused = owner.request(route.method, address(route, things), headers=headers)
            assert refused.status_code == 403, route
    assert dumped(settings) == before


def test_visitors_are_redirected_to_sign_in(
    owner: Visitor, ada: Person, estate: Estate, settings: Settings
) -> None:
    things = estate.things(ada)
    token = owner.cookies[SESSION]
    lower = {SESSION.lower(): token}
    assert owner.request("GET", "/operator", headers={}).status_code == 200
    signed_out = Visitor(owner.client, dict(owner.cookies))
    cases = [{}, lower, {SESSION: "made-up"}, {SESSION: token[:-1]}, {SESSION: token}]
    signed_out.post("/sign-out")
    before = dumped(settings)
    for cookies in cases:
        for route in ROUTES:
            if route.whom == "anyone":
                continue
            signed_out_visitor = Visitor(owner.client, dict(cookies))
            door = send(signed_out_visitor, route, things)
            assert door.status_code == 303, route
            assert door.headers["location"].partition("?")[0] == "/sign-in", route
            assert send(signed_out_visitor, route, things, **JSON).status_code == 401, route
            assert send(signed_out_visitor, route, things, **HTMX).status_code == 401, route
    assert dumped(settings) == before


def test_objects_of_another_account_are_not_found(
    signed_in: Visitor, stranger: Visitor, ada: Person, estate: Estate, settings: Settings
) -> None:
    walked = [route for route in ROUTES if route.whom == "person" and route.ids]
    for route in walked:
        things = estate.things(ada)
        before = dumped(settings)
        assert send(stranger, route, things).status_code == 404, route
        assert dumped(settings) == before, route
        assert send(signed_in, route, things).status_code < 400, route
    assert len(walked) > 10


def test_only_the_owner_is_an_operator(
    signed_in: Visitor, owner: Visitor, estate: Estate, settings: Settings
) -> None:
    walked = [route for route in ROUTES if route.whom == "operator"]
    for number, route in enumerate(walked):
        customer = person(estate.database, estate.secrets, f"{number}@example.org")
        things = estate.things(customer)
        before = dumped(settings)
        assert send(signed_in, route, things).status_code == 404, route
        assert dumped(settings) == before, route
        if route.ids or route.method == "GET":
            assert send(owner, route, things).status_code < 400, route
    assert len(walked) > 10


def test_get_requests_change_nothing(
    owner: Visitor, database: Database, ada: Person, estate: Estate, settings: Settings
) -> None:
    with database.read() as session:
        operator = session.query(Person).filter(Person.email == "owner@example.org").one()
    things, hers = estate.things(operator), estate.things(ada)
    for route in ROUTES:
        if route.method != "GET":
            continue
        mine = hers if route.whom == "operator" else things
        if route.path.endswith(ASKS_ONCE):
            send(owner, route, mine)
        before = dumped(settings)
        got = send(owner, route, mine)
        assert got.status_code in (200, 303), route
        head = owner.request("HEAD", address(route, mine))
        assert (head.status_code, head.content) == (got.status_code, b""), route
        assert dumped(settings) == before, route


def test_other_methods_are_rejected(
    owner: Visitor, ada: Person, estate: Estate, settings: Settings
) -> None:
    things = estate.things(ada)
    before = dumped(settings)
    taken = {str(route) for route in ROUTES}
    tricks = {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST"}
    for route in ROUTES:
        path = address(route, things)
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            if f"{method} {route.path}" not in taken:
                answer = owner.request(method, path, headers={**SAME, **tricks})
                assert answer.status_code == 405, (method, route)
        if f"GET {route.path}" not in taken:
            answer = owner.request("GET", f"{path}?_method=POST", headers={**SAME, **tricks})
            assert answer.status_code in (404, 405), route
    assert dumped(settings) == before


def test_errors_have_the_security_headers(signed_in: Visitor, settings: Settings) -> None:
    before = dumped(settings)
    for path, status in {
        "/nowhere": 404,
        "/studio/%00": 404,
        "/studio?q=%00": 422,
        "/studio?before=x": 422,
        f"/studio?q={'x' * 201}": 422,
        f"/studio/events?{'id=x&' * 61}": 422,
        "/settings/usage?before=99999999999999999999": 422,
        "/settings/usage?before=-1": 422,
        f"/settings/webhooks?find={'%25' * 20_000}": 200,
        "/settings/webhooks?cursor=' OR 1=1": 422,
        "/settings/account?changed=maybe": 422,
    }.items():
        assert signed_in.get(path).status_code == status, path[:50]
    for form, status in {
        b"back=/": 422,
        b"language=en&x=y": 422,
        b"language=en\xff": 422,
        b"language=en&back=%00": 422,
        b"x" * ((1 << 20) + 1): 413,
        b"a=1&" * 201: 422,
    }.items():
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = signed_in.request("POST", "/language", content=form, headers=SAME | kind)
        assert answer.status_code == status, form[:50]
    for body in (
        b"{",
        b"{}",
        b"[" * 100_000,
        b'{"filename": "\\u0000", "contentType": "a/b", "contentLength": 1}',
        b'{"filename": "\\ud800", "contentType": "a/b", "contentLength": 1}',
        b'{"filename": "a", "filename": "b", "contentType": "a/b", "contentLength": 1}',
    ):
        kind = {"Content-Type": "application/json"}
        answer = signed_in.request("POST", "/studio/uploads", content=body, headers=SAME | kind)
        assert answer.status_code == 422, body[:50]
    assert dumped(settings) == before


def test_credentials_are_neither_logged_nor_stored(
    owner: Visitor,
    ada: Person,
    estate: Estate,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    things, visitor = estate.things(ada), Visitor(owner.client)
    secret = [things["join"], things["shared"], PASSWORD, "a better password"]
    visitor.sign_in(ada.email)
    secret.append(visitor.cookies[SESSION])
    for route in ROUTES:
        if route.method == "GET":
            shown = send(owner if route.whom == "operator" else visitor, route, things)
            secret += re.findall(r"signature=([\w-]{43})", shown.text)
    form = {"id": ids.new("key"), "scope": "splits:read"}
    made = visitor.post("/settings/developer/keys", form).text
    secret += re.findall(r"ast_live_\w+|whsec_[\w+/=]+", unescape(made))
    form = {"present": PASSWORD, "password": "a better password"}
    assert visitor.post("/settings/account/password", form).is_redirect
    joined = Visitor(owner.client)
    form = {"email": "new@example.org", "password": "a better password"}
    assert joined.post(f"/join/{things['join']}", form).is_redirect
    secret.append(joined.cookies[SESSION])
    visitor.cookies[SESSION] += "x"
    visitor.get("/studio")
    # Except the records of the HTTP client, which runs in the same process.
    records = [each for each in caplog.records if not each.name.startswith("http")]
    logged = "\n".join(repr(vars(record)) for record in records)
    stored = "\n".join(dumped(settings))
    assert "/join/{token}" in logged
    assert len(secret) > 10
    for each in secret:
        assert each not in logged
        assert each not in stored


def test_an_invalid_host_header_is_in_no_link(signed_in: Visitor) -> None:
    """Links contain the host name of the request; an invalid name is not repeated."""
    for host in ("evil.example/x?", "a b", "[", "x@evil.example", "évil"):
        answer = signed_in.get("/settings/developer", headers={"Host": host.encode("latin-1")})
        assert answer.status_code in (200, 400)
        assert "evil" not in answer.text
        assert "évil" not in answer.text


def test_urls_on_a_shared_page_expire_with_its_link(
    signed_in: Visitor, ada: Person, estate: Estate
) -> None:
    things = estate.things(ada)
    soon = times.now() + timedelta(minutes=5)
    with estate.database.write() as session:
        session.get_one(Share, things["share_id"]).expires_at = soon
    page = signed_in.get(f"/shared/{things['shared']}").text
    ends = [int(end) for end in re.findall(r"/storage/[^\"]*expires=(\d+)", page)]
    assert len(ends) == 4
    assert max(ends) <= soon.timestamp() + 1
    own = signed_in.get(f"/studio/songs/{things['split_id']}").text
    assert int(re.findall(r"/storage/[^\"]*expires=(\d+)", own)[0]) > soon.timestamp() + 60


def test_people_have_the_rate_limit_of_a_key(
    settings: Settings, database: Database, server_secrets: Secrets, ada: Person
) -> None:
    settings = settings.model_copy(update={"rate_limit_per_minute": 3})
    with serving(create_app(settings, database, server_secrets)) as client:
        visitor = Visitor(client)
        visitor.sign_in(ada.email)
        answers = [visitor.get("/settings/account") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        guarded(answers[-1])
