from __future__ import annotations

import re

import httpx2
import pytest

from aistemsplitter_server.accounts import people, queries
from aistemsplitter_server.accounts.people import WrongPassword
from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.web import devices
from visitors import PASSWORD, Visitor, person

HERE = "/settings/account"
NEW = "another password"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
MARKUP = '"><script>alert(1)</script>Chrome/1'


@pytest.fixture
def elsewhere(client: httpx2.Client, ada: Person) -> Visitor:
    """Ada's other browser, signed in."""
    other = Visitor(client)
    form = {"email": ada.email, "password": PASSWORD}
    other.post("/sign-in", form, headers={"User-Agent": FIREFOX})
    return other


def test_the_password_is_changed(
    signed_in: Visitor, elsewhere: Visitor, client: httpx2.Client, ada: Person
) -> None:
    assert elsewhere.get("/studio").status_code == 200
    done = signed_in.post(f"{HERE}/password", {"present": PASSWORD, "password": NEW})
    assert done.is_redirect
    assert "Your password has been changed" in signed_in.get(done.headers["location"]).text
    assert elsewhere.get("/studio").is_redirect
    assert Visitor(client).sign_in(ada.email).status_code == 401
    assert Visitor(client).sign_in(ada.email, NEW).is_redirect


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"present": "not the one", "password": NEW}, "The current password is wrong."),
        ({"present": PASSWORD, "password": "short"}, "at least 10 characters"),
    ],
)
def test_a_rejected_password_change(
    signed_in: Visitor,
    elsewhere: Visitor,
    client: httpx2.Client,
    ada: Person,
    form: dict[str, str],
    message: str,
) -> None:
    refused = signed_in.post(f"{HERE}/password", form)
    assert refused.status_code == 422
    assert message in refused.text
    assert elsewhere.get("/studio").status_code == 200
    assert Visitor(client).sign_in(ada.email).is_redirect


def test_guessing_the_current_password_is_rate_limited(
    signed_in: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object) -> None:
        raise WrongPassword

    monkeypatch.setattr(people, "verify", wrong)  # hashing each would take seconds
    form = {"present": "guess", "password": NEW}
    statuses = {signed_in.post(f"{HERE}/password", form).status_code for _ in range(15)}
    assert statuses == {422, 429}


def test_the_password_was_changed_meanwhile(database: Database, ada: Person) -> None:
    change = {"verified": ada.password_hash, "password_hash": "new", "sign_in_id": "ses_none"}
    with database.write() as session:
        people.change_password(session, ada.id, **change)
    with pytest.raises(WrongPassword), database.write() as session:
        people.change_password(session, ada.id, **change)


def test_the_list_of_sessions(signed_in: Visitor, elsewhere: Visitor) -> None:
    page = signed_in.get(HERE).text
    assert "Firefox on Windows" in page
    assert page.count("127.0.0.1") == 2
    assert page.count("this browser") == 1
    row = next(row for row in page.split("<tr>") if "Firefox on Windows" in row)
    end = re.search(r'action="([^"]+)"', row)
    assert end
    assert signed_in.post(end[1]).is_redirect
    assert elsewhere.get("/studio").is_redirect
    assert signed_in.get(HERE).status_code == 200
    assert signed_in.post(end[1]).status_code == 404


@pytest.mark.usefixtures("elsewhere")
def test_signing_out_everywhere(
    signed_in: Visitor, client: httpx2.Client, ada: Person, database: Database
) -> None:
    token = signed_in.cookies.copy()
    done = signed_in.post(f"{HERE}/sign-ins/end")
    assert done.headers["location"] == "/sign-in"
    assert not signed_in.cookies
    assert Visitor(client, token).get("/studio").is_redirect
    now = times.now()
    with database.read() as session:
        assert not queries.sign_ins(session, ada.id, now, now.replace(year=2000))


def test_another_persons_session(
    signed_in: Visitor, client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    eve = person(database, server_secrets, "eve@example.org")
    theirs = Visitor(client)
    theirs.sign_in(eve.email)
    (end,) = re.findall(rf'action="({HERE}/sign-ins/ses_\w+/end)"', theirs.get(HERE).text)
    assert signed_in.post(end).status_code == 404
    assert theirs.get("/studio").status_code == 200


def test_the_user_agent_is_escaped(client: httpx2.Client, ada: Person) -> None:
    visitor = Visitor(client)
    form = {"email": ada.email, "password": PASSWORD}
    visitor.post("/sign-in", form, headers={"User-Agent": MARKUP})
    page = visitor.get(HERE).text
    assert "<script>alert" not in page
    assert "Chrome" in page


def test_choosing_the_language(signed_in: Visitor) -> None:
    chosen = signed_in.post("/language", {"language": "zh-TW", "back": HERE})
    assert chosen.headers["location"] == HERE
    assert "變更密碼" in signed_in.get(HERE).text


@pytest.mark.parametrize(
    ("user_agent", "browser", "system"),
    [
        (FIREFOX, "Firefox", "Windows"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari",
            "iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 "
            "(KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge",
            "macOS",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/140.0.0.0 Mobile Safari/537.36",
            "Chrome",
            "Android",
        ),
        ("curl/8.0", None, None),
        ("", None, None),
    ],
)
def test_devices(user_agent: str, browser: str | None, system: str | None) -> None:
    assert devices.described(user_agent) == (browser, system)
