from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx2
import pytest
from sqlalchemy import select

from aistemsplitter_server.accounts import queries, service, webhook_secrets
from aistemsplitter_server.accounts.tables import ApiKey, Person
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from customers import Customer
from visitors import Visitor

PAGE = "/settings/developer"
ALL = ("credits:read", "uploads:write", "splits:read", "splits:write")
MARKUP = "<b>shop</b> & “co”"


@pytest.fixture
def key(database: Database, server_secrets: Secrets, ada: Person) -> service.NewKey:
    """One of Ada's keys."""
    with database.write() as session:
        return service.create_key(session, server_secrets, ada.account_id, name="laptop")


def filled_in(visitor: Visitor, **fields: object) -> dict[str, object]:
    """Return the form for a new key as a browser would send it."""
    found = re.search(r'name="id" value="(key_\w+)"', visitor.get(f"{PAGE}/keys/new").text)
    assert found
    form = {"id": found[1], "name": "shop", "mode": "live", "expires": "never", "scope": [*ALL]}
    return {**form, "priority": "interactive", **fields}


def shown(page: httpx2.Response, identifier: str) -> str:
    """Return the text of an element without children."""
    found = re.search(rf'id="{identifier}"[^>]*>([^<]*)<', page.text)
    assert found, page.text
    return unescape(found[1])


def status(visitor: Visitor, api_key: str) -> int:
    """Return the API's status for a key."""
    headers = {"Authorization": f"Bearer {api_key}"}
    return visitor.client.get("/v1/credits", headers=headers).status_code


def keys(database: Database, account_id: str) -> list[ApiKey]:
    with database.read() as session:
        return [*queries.keys(session, account_id)]


def test_a_key_is_created_and_shown_once(
    signed_in: Visitor, database: Database, server_secrets: Secrets, ada: Person
) -> None:
    form = filled_in(signed_in, name=MARKUP, mode="test", priority="batch")
    made = signed_in.post(f"{PAGE}/keys", form)
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    api_key, secret = shown(made, "api-key"), shown(made, "webhook-secret")
    assert api_key.startswith("ast_test_")
    assert status(signed_in, api_key) == 200
    exported = shown(made, "snippet-export")  # both, so that the key is not sent to another service
    assert exported.startswith("export AISTEMSPLITTER_BASE_URL=http")
    assert exported.endswith(f"/v1 AISTEMSPLITTER_API_KEY={api_key}")
    (row,) = keys(database, ada.account_id)
    assert (row.id, row.name, row.top_priority) == (form["id"], MARKUP, "batch")
    assert row.scopes == [*ALL]
    assert webhook_secrets.active(server_secrets, row) == [secret]

    listed = signed_in.get(PAGE)
    assert "&lt;b&gt;shop&lt;/b&gt; &amp; “co”" in listed.text
    assert "<b>shop" not in listed.text + made.text
    assert api_key[:35] + "…" in listed.text
    assert api_key[35:] not in listed.text
    assert secret not in unescape(listed.text)

    again = signed_in.post(f"{PAGE}/keys", form)  # reloading the response
    assert (again.status_code, again.headers["location"]) == (303, PAGE)
    assert len(keys(database, ada.account_id)) == 1


@pytest.mark.parametrize(
    ("choice", "day", "left"),
    [
        ("never", None, None),
        ("30", None, timedelta(days=30)),
        ("365", "2099-01-01", timedelta(days=365)),  # a mistyped date
    ],
)
def test_expiry_dates(
    signed_in: Visitor,
    database: Database,
    ada: Person,
    choice: str,
    day: str | None,
    left: timedelta | None,
) -> None:
    form = filled_in(signed_in, expires=choice, **({"expires_on": day} if day else {}))
    assert signed_in.post(f"{PAGE}/keys", form).status_code == 200
    (row,) = keys(database, ada.account_id)
    if left is None:
        assert row.expires_at is None
    else:
        assert row.expires_at is not None
        assert abs(row.expires_at - times.now() - left) < timedelta(minutes=5)


def test_a_key_is_valid_on_its_last_day(
    signed_in: Visitor, database: Database, ada: Person
) -> None:
    today = datetime.now(UTC).date()
    form = filled_in(signed_in, expires="date", expires_on=f"{today + timedelta(days=3)}")
    assert signed_in.post(f"{PAGE}/keys", form).status_code == 200
    (row,) = keys(database, ada.account_id)
    assert row.expires_at is not None
    assert row.expires_at.isoformat() == f"{today + timedelta(days=4)}T00:00:00+00:00"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scope": []}, "at least one"),
        ({"expires": "date"}, "a last day"),
        ({"expires": "date", "expires_on": "2020-01-01"}, "a last day"),
        ({"expires": "date", "expires_on": "9999-12-31"}, "a last day"),
    ],
)
def test_an_invalid_form_is_shown_again(
    signed_in: Visitor, database: Database, ada: Person, fields: dict[str, object], message: str
) -> None:
    page = signed_in.post(f"{PAGE}/keys", filled_in(signed_in, name=MARKUP, **fields))
    assert (page.status_code, message in page.text) == (422, True)
    assert 'value="&lt;b&gt;shop' in page.text
    assert keys(database, ada.account_id) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": ["all"]},
        {"mode": "both"},
        {"priority": "first"},
        {"expires": "31"},
        {"expires": "date", "expires_on": "someday"},
        {"name": "x" * 81},
        {"id": "key_1"},
        {"account_id": "acc_other"},
    ],
)
def test_values_that_no_form_sends_are_rejected(
    signed_in: Visitor, database: Database, ada: Person, fields: dict[str, object]
) -> None:
    assert signed_in.post(f"{PAGE}/keys", filled_in(signed_in, **fields)).status_code == 422
    assert keys(database, ada.account_id) == []


def test_revoking_a_key(signed_in: Visitor, key: service.NewKey) -> None:
    assert status(signed_in, key.api_key) == 200
    revoked = signed_in.post(f"{PAGE}/keys/{key.id}/revoke")
    assert (revoked.status_code, revoked.headers["location"]) == (303, PAGE)
    assert status(signed_in, key.api_key) == 401
    page = signed_in.get(PAGE).text
    assert "1 revoked or expired key" in page
    assert f"{key.id}/revoke" not in page


def test_a_new_webhook_secret(
    signed_in: Visitor,
    database: Database,
    server_secrets: Secrets,
    ada: Person,
    key: service.NewKey,
) -> None:
    found = re.search(r'/rotate".*?name="version" value="(\w+)"', signed_in.get(PAGE).text, re.S)
    assert found
    form = {"version": found[1]}
    page = signed_in.post(f"{PAGE}/keys/{key.id}/rotate", form)
    assert page.headers["cache-control"] == "no-store"
    secret = shown(page, "webhook-secret")
    again = signed_in.post(f"{PAGE}/keys/{key.id}/rotate", form)  # reloading the response
    assert (again.status_code, again.headers["location"]) == (303, PAGE)
    (row,) = keys(database, ada.account_id)
    assert webhook_secrets.active(server_secrets, row) == [secret, key.webhook_secret]


def test_replacing_a_key(
    signed_in: Visitor, database: Database, ada: Person, key: service.NewKey
) -> None:
    found = re.search(r'/replace".*?name="version" value="(\w+)"', signed_in.get(PAGE).text, re.S)
    assert found
    form = {"version": found[1]}
    page = signed_in.post(f"{PAGE}/keys/{key.id}/replace", form)
    assert page.headers["cache-control"] == "no-store"
    new = shown(page, "api-key")
    assert [status(signed_in, each) for each in (new, key.api_key)] == [200, 200]
    again = signed_in.post(f"{PAGE}/keys/{key.id}/replace", form)  # reloading the response
    assert (again.status_code, again.headers["location"]) == (303, PAGE)
    with database.write() as session:
        (row,) = session.scalars(select(ApiKey).where(ApiKey.account_id == ada.account_id))
        row.previous_digest_until = times.now()
    assert [status(signed_in, each) for each in (new, key.api_key)] == [200, 401]


def test_another_accounts_keys_are_not_found(signed_in: Visitor, someone: Customer) -> None:
    theirs = someone.caller.key_id
    assert theirs.removeprefix("key_") not in signed_in.get(PAGE).text
    assert signed_in.post(f"{PAGE}/keys/{theirs}/revoke").status_code == 404
    for action in ("rotate", "replace"):
        answer = signed_in.post(f"{PAGE}/keys/{theirs}/{action}", {"version": "x"})
        assert answer.status_code == 404
    taken = signed_in.post(f"{PAGE}/keys", filled_in(signed_in, id=theirs))
    assert taken.status_code == 303
    assert status(signed_in, someone.api_key) == 200
    with someone.database.read() as session:
        row = session.scalars(select(ApiKey).where(ApiKey.id == theirs)).one()
        assert (row.account_id, row.name) == (someone.caller.account_id, "")
        assert row.sealed_previous_secret is None


def test_not_signed_in(visitor: Visitor, key: service.NewKey) -> None:
    for path in (PAGE, f"{PAGE}/keys/new"):
        assert visitor.get(path).headers["location"] == f"/sign-in?next={path}"
    for path in (f"{PAGE}/keys", f"{PAGE}/keys/{key.id}/revoke", f"{PAGE}/keys/{key.id}/rotate"):
        assert visitor.post(path).headers["location"] == "/sign-in"
    assert status(visitor, key.api_key) == 200


def test_in_chinese(signed_in: Visitor, key: service.NewKey) -> None:
    signed_in.cookies["language"] = "zh-TW"
    assert key.id
    for path, expected in ((PAGE, "撤銷"), (f"{PAGE}/keys/new", "優先順序")):
        assert expected in signed_in.get(path).text
