from __future__ import annotations

import logging
import re
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from aistemsplitter_server.accounts import members, people
from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.app import create_app
from aistemsplitter_server.http import rate_limits
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.web import live
from customers import Customer
from processes import until
from serving import serving
from visitors import PASSWORD, SESSION, Visitor, person


@pytest.fixture
def link(database: Database, server_secrets: Secrets, ada: Person) -> str:
    """A path by which a person joins Ada's account."""
    with database.write() as session:
        return "/join/" + people.link(session, server_secrets, ada.account_id)


def test_signing_in_and_out(visitor: Visitor, ada: Person) -> None:
    front = visitor.get("/")
    assert (front.status_code, front.headers["location"]) == (303, "/sign-in")
    wanted = visitor.get("/studio")
    assert wanted.headers["location"] == "/sign-in?next=/studio"

    entered = visitor.sign_in(ada.email.upper())
    assert (entered.status_code, entered.headers["location"]) == (303, "/studio")
    cookie = entered.headers["set-cookie"].lower()
    assert cookie.startswith("__host-session=")
    for flag in ("secure", "httponly", "samesite=lax", "path=/"):
        assert flag in cookie
    assert "domain" not in cookie
    page = visitor.get("/studio")
    assert page.status_code == 200
    assert ada.email in page.text
    assert page.headers["cache-control"] == "no-store"

    token = visitor.cookies[SESSION]
    left = visitor.post("/sign-out")
    assert left.headers["location"] == "/sign-in"
    assert SESSION not in visitor.cookies
    visitor.cookies[SESSION] = token  # replayed by someone who has copied it
    assert visitor.get("/studio").status_code == 303


def test_a_planted_session_cookie_is_replaced(visitor: Visitor, ada: Person) -> None:
    visitor.cookies[SESSION] = "planted"
    visitor.sign_in(ada.email)
    first = visitor.cookies[SESSION]
    assert first != "planted"
    visitor.sign_in(ada.email)
    second = visitor.cookies[SESSION]
    assert second != first
    visitor.cookies[SESSION] = first  # signing in again ends the previous session
    assert visitor.get("/studio").status_code == 303


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("email", "password"), [("ada@example.org", "wrong password"), ("nobody@x.org", PASSWORD)]
)
def test_a_wrong_email_and_a_wrong_password_give_the_same_message(
    visitor: Visitor, email: str, password: str
) -> None:
    refused = visitor.sign_in(email, password)
    assert refused.status_code == 401
    assert "Wrong email or password." in refused.text
    assert SESSION not in visitor.cookies


def test_guessing_is_rate_limited(
    visitor: Visitor, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "verify", _wrong)  # hashing each would take seconds
    statuses = [visitor.sign_in(ada.email, "guess").status_code for _ in range(15)]
    assert statuses[:12] == [401] * 12
    assert statuses[-1] == 429


def test_one_network_cannot_lock_a_person_out(
    visitor: Visitor, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as guessing:
        guessing.setattr(people, "verify", _wrong)
        for _ in range(20):
            visitor.sign_in(ada.email, "guess")
    assert visitor.sign_in(ada.email).status_code == 429
    monkeypatch.setattr(rate_limits, "neighbourhood", lambda _address: "another network")
    assert visitor.sign_in(ada.email).status_code == 303


def test_no_password_is_hashed_without_a_valid_link(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "hashed", lambda _password: pytest.fail("the password was hashed"))
    form = {"email": "eve@example.org", "password": PASSWORD}
    assert visitor.post("/join/made-up", form).status_code == 404


def test_a_failed_sign_in_is_logged_with_address_and_account(
    visitor: Visitor, ada: Person, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "verify", _wrong)
    caplog.set_level(logging.INFO, "aistemsplitter_server.http.frame")
    for email in (ada.email, "hunter2"):
        visitor.sign_in(email)

    def failures() -> list[dict[str, Any]]:
        found = [vars(record) for record in caplog.records if record.msg == "request"]
        return [line for line in found if line["route"] == "/sign-in" and line["status"] == 401]

    known, unknown = until(lambda: (found := failures()) and len(found) == 2 and found)
    assert (known["address"], known["account_id"]) == ("127.0.0.1", ada.account_id)
    assert (unknown["address"], unknown["account_id"]) == ("127.0.0.1", None)
    assert "hunter2" not in str(unknown)  # it may be a password


def _wrong(_password: str, _hash: str | None) -> None:
    raise people.WrongPassword


@pytest.mark.parametrize("meanwhile", ["another password", "removed"])
def test_a_sign_in_during_a_password_change(
    visitor: Visitor,
    ada: Person,
    database: Database,
    server_secrets: Secrets,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    person(database, server_secrets, "bo@example.org", account_id=ada.account_id)
    verify = people.verify

    def slowly(password: str, password_hash: str | None) -> None:
        verify(password, password_hash)
        with database.write() as session:
            if meanwhile == "removed":
                members.remove(session, ada.account_id, ada.id)
            else:
                changed = people.hashed("another good one")
                people.set_password(session, session.get_one(Person, ada.id), changed)

    monkeypatch.setattr(people, "verify", slowly)
    assert visitor.sign_in(ada.email).status_code == 401
    assert SESSION not in visitor.cookies


def test_the_redirect_after_sign_in_stays_on_this_site(visitor: Visitor, ada: Person) -> None:
    for path, there in {
        "/settings/usage?x=1": "/settings/usage?x=1",
        "//evil.example/": "/studio",
        "/\\evil.example": "/studio",
        "https://evil.example/": "/studio",
        "javascript:alert(1)": "/studio",
    }.items():
        form = {"email": ada.email, "password": PASSWORD, "next": path}
        assert visitor.post("/sign-in", form).headers["location"] == there


def test_an_invitation_can_be_used_once(visitor: Visitor, ada: Person, link: str) -> None:
    assert "ada@example.org" in visitor.get(link).text  # the account's name
    assert visitor.get(link).status_code == 200  # opening the link does not use it
    short = visitor.post(link, {"email": "bob@example.org", "password": "short"})
    assert (short.status_code, "at least" in short.text.lower()) == (422, True)
    taken = visitor.post(link, {"email": ada.email, "password": PASSWORD})
    assert taken.status_code == 409
    joined = visitor.post(link, {"email": "Bob@Example.org", "password": PASSWORD})
    assert joined.headers["location"] == "/studio"
    assert "bob@example.org" in visitor.get("/studio").text
    assert visitor.get(link).status_code == 404
    assert visitor.post(link, {"email": "eve@x.org", "password": PASSWORD}).status_code == 404


def test_a_new_password_ends_all_sessions(
    signed_in: Visitor, database: Database, server_secrets: Secrets, ada: Person
) -> None:
    with database.write() as session:
        token = people.link(session, server_secrets, ada.account_id, person_id=ada.id)
    other = Visitor(signed_in.client)
    assert other.post(f"/join/{token}", {"password": "another good one"}).status_code == 303
    assert other.get("/studio").status_code == 200
    assert signed_in.get("/studio").status_code == 303
    assert signed_in.sign_in(ada.email).status_code == 401
    assert signed_in.sign_in(ada.email, "another good one").status_code == 303


def test_a_new_password_revokes_all_reset_links(
    signed_in: Visitor, database: Database, server_secrets: Secrets, ada: Person
) -> None:
    with database.write() as session:
        first, second = (
            people.link(session, server_secrets, ada.account_id, person_id=ada.id) for _ in "12"
        )
        invitation = people.link(session, server_secrets, ada.account_id)
    assert signed_in.post(f"/join/{first}", {"password": "another good one"}).status_code == 303
    assert signed_in.get(f"/join/{second}").status_code == 404
    assert signed_in.get(f"/join/{invitation}").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://other.localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_requests_from_other_sites_change_nothing(
    signed_in: Visitor, headers: dict[str, str]
) -> None:
    refused = signed_in.request("POST", "/sign-out", headers=headers)
    assert refused.status_code == 403
    assert signed_in.get("/studio").status_code == 200


def test_an_older_browser_that_only_sends_the_origin(signed_in: Visitor) -> None:
    origin = str(signed_in.client.base_url).rstrip("/")
    left = signed_in.request("POST", "/sign-out", headers={"Origin": origin})
    assert left.status_code == 303


def test_the_api_ignores_cookies(signed_in: Visitor) -> None:
    assert signed_in.get("/v1/credits").status_code == 401


def test_pages_and_api_responses_are_cached_separately(client: httpx2.Client) -> None:
    page = client.get("/nowhere", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for path in ("/v1/nowhere", "/nowhere"):
        assert client.get(path).json()["error"]["code"] == "NOT_FOUND"
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["request-id"] in page.text


def test_choosing_the_language(visitor: Visitor) -> None:
    assert 'lang="en"' in visitor.get("/sign-in").text
    preference = {"Accept-Language": "fr;q=0.5, zh-Hant-HK, en;q=0.9"}
    assert 'lang="zh-TW"' in visitor.get("/sign-in", headers=preference).text
    back = visitor.post("/language", {"language": "zh-TW", "back": "/sign-in"})
    assert back.headers["location"] == "/sign-in"
    assert "登入" in visitor.get("/sign-in").text


def test_in_a_browser(browser: Browser, client: httpx2.Client, link: str) -> None:
    page = browser.new_page(base_url=f"http://localhost:{client.base_url.port}")
    complaints: list[str] = []
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.goto(link)
    page.get_by_label("Email").fill("bob@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/studio$"))
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in$"))
    page.goto("/studio")
    page.get_by_label("Email").fill("bob@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    assert not complaints
    page.close()


def test_attempts_count_in_all_processes(
    visitor: Visitor,
    ada: Person,
    settings: Settings,
    database: Database,
    server_secrets: Secrets,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people, "verify", _wrong)
    with serving(create_app(settings, database, server_secrets)) as client:
        another = Visitor(client)
        statuses = [
            each.sign_in(ada.email, "guess").status_code
            for _ in range(8)
            for each in (visitor, another)
        ]
    assert statuses[:12] == [401] * 12
    assert statuses[-1] == 429


def test_no_redirects_to_other_sites(signed_in: Visitor) -> None:
    """Neither after signing in nor after choosing a language."""
    for path in ("//evil.example", "/\\evil.example", "https:evil.example", "//[", "/\t/x", "x"):
        there = signed_in.get("/sign-in", params={"next": path})
        assert there.headers["location"] == "/studio"
        there = signed_in.post("/language", {"language": "en", "back": path})
        assert there.headers["location"] == "/studio"


def test_signing_out_ends_the_event_stream(
    signed_in: Visitor, hers: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.1)
    split = hers.split()
    cookie = {"Cookie": f"{SESSION}={signed_in.cookies[SESSION]}"}
    heard = []
    with signed_in.client.stream("GET", f"/studio/events?id={split.id}", headers=cookie) as stream:
        for line in stream.iter_lines():
            heard.append(line)
            if line == "event: song":
                signed_in.post("/sign-out")
    assert heard.count("event: song") == 1
    assert "event: end" in heard
    with hers.database.read() as session:
        assert session.get_one(Split, split.id).status == "queued"
