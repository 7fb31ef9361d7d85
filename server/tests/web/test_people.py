from __future__ import annotations

import re
import threading
from datetime import timedelta

import httpx2
import pytest

from aistemsplitter_server.accounts import members, people, queries
from aistemsplitter_server.accounts.members import LastPerson
from aistemsplitter_server.accounts.tables import Link, Person
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from visitors import PASSWORD, Visitor, person

HERE = "/settings/people"
MARKUP = "<b>new</b>"


@pytest.fixture
def bo(database: Database, server_secrets: Secrets, ada: Person) -> Person:
    """Ada's colleague."""
    return person(database, server_secrets, "bo@example.org", account_id=ada.account_id)


@pytest.fixture
def stranger(database: Database, server_secrets: Secrets) -> Person:
    """A person of another account."""
    return person(database, server_secrets, "eve@example.org")


def invited(visitor: Visitor, note: str = "") -> str:
    """The path of a new invitation link."""
    made = visitor.post(f"{HERE}/links", {"note": note})
    assert made.status_code == 201
    found = re.search(r'<code id="link">http://[^/]+(/join/[\w-]+)</code>', made.text)
    assert found
    return found[1]


def test_a_colleague_is_invited_and_joins(
    signed_in: Visitor, client: httpx2.Client, ada: Person, database: Database
) -> None:
    link = invited(signed_in, MARKUP)
    page = signed_in.get(HERE).text
    assert link not in page  # it is shown only once
    assert MARKUP not in page
    assert "&lt;b&gt;new&lt;/b&gt;" in page

    colleague = Visitor(client)
    joined = colleague.post(link, {"email": "new@example.org", "password": PASSWORD})
    assert joined.is_redirect
    assert "new@example.org" in signed_in.get(HERE).text
    assert "&lt;b&gt;new&lt;/b&gt;" not in signed_in.get(HERE).text  # the link has been used
    assert Visitor(client).get(link).status_code == 404
    with database.read() as session:
        assert len(queries.people(session, ada.account_id)) == 2


def test_a_link_is_revoked(signed_in: Visitor, visitor: Visitor) -> None:
    link = invited(signed_in)
    (revoke,) = re.findall(rf'action="({HERE}/links/\w+/revoke)"', signed_in.get(HERE).text)
    assert signed_in.post(revoke).is_redirect
    assert visitor.get(link).status_code == 404
    assert signed_in.post(revoke).status_code == 404


def test_expired_links_are_not_listed(signed_in: Visitor, database: Database) -> None:
    invited(signed_in, "too late")
    with database.write() as session:
        for link in session.query(Link):
            link.expires_at = times.now() - timedelta(seconds=1)
    assert "too late" not in signed_in.get(HERE).text


@pytest.mark.usefixtures("stranger")
def test_the_last_person_cannot_be_removed(signed_in: Visitor, ada: Person) -> None:
    assert "/remove" not in signed_in.get(HERE).text
    refused = signed_in.post(f"{HERE}/{ada.id}/remove")
    assert refused.status_code == 409
    assert "cannot be removed" in refused.text
    assert signed_in.get(HERE).status_code == 200


def test_a_removed_person_is_signed_out_immediately(
    signed_in: Visitor,
    client: httpx2.Client,
    bo: Person,
    database: Database,
    server_secrets: Secrets,
) -> None:
    other = Visitor(client)
    other.sign_in(bo.email)
    assert other.get("/studio").status_code == 200
    with database.write() as session:
        token = people.link(session, server_secrets, bo.account_id, person_id=bo.id)
    assert signed_in.post(f"{HERE}/{bo.id}/remove").is_redirect
    assert other.get("/studio").is_redirect
    assert other.sign_in(bo.email).status_code == 401
    assert other.get(f"/join/{token}").status_code == 404
    assert bo.email not in signed_in.get(HERE).text


def test_a_colleague_is_signed_out_everywhere(
    signed_in: Visitor, client: httpx2.Client, ada: Person, bo: Person
) -> None:
    visitor = Visitor(client)
    assert f"{ada.id}/sign-out" not in signed_in.get(HERE).text  # on the account's own page
    visitor.sign_in(bo.email)
    assert f"{bo.id}/sign-out" in signed_in.get(HERE).text
    assert signed_in.post(f"{HERE}/{bo.id}/sign-out").is_redirect
    assert visitor.get("/studio").is_redirect
    assert signed_in.get("/studio").status_code == 200
    visitor.sign_in(bo.email)  # which is still possible
    assert visitor.get("/studio").status_code == 200


def test_a_person_who_leaves_is_signed_out(signed_in: Visitor, ada: Person, bo: Person) -> None:
    assert bo.email in signed_in.get(HERE).text
    assert signed_in.post(f"{HERE}/{ada.id}/remove").is_redirect
    assert signed_in.get(HERE).headers["location"].startswith("/sign-in")


def test_people_of_other_accounts_are_hidden(
    signed_in: Visitor,
    client: httpx2.Client,
    stranger: Person,
    bo: Person,
    database: Database,
    server_secrets: Secrets,
) -> None:
    page = signed_in.get(HERE).text
    assert bo.email in page
    assert stranger.email not in page
    assert signed_in.post(f"{HERE}/{stranger.id}/remove").status_code == 404
    assert signed_in.post(f"{HERE}/{stranger.id}/sign-out").status_code == 404
    with database.write() as session:
        people.link(session, server_secrets, stranger.account_id, note="theirs")
        (link,) = queries.pending_links(session, stranger.account_id, times.now())
    assert "theirs" not in signed_in.get(HERE).text
    assert signed_in.post(f"{HERE}/links/{link.id}/revoke").status_code == 404
    assert Visitor(client).sign_in(stranger.email).is_redirect


def test_two_people_who_remove_each_other(database: Database, ada: Person, bo: Person) -> None:
    """The second request waits for the first, and fails because its person is the last one."""
    refused: list[Exception] = []

    def remove_bo() -> None:
        try:
            with database.write() as session:
                members.remove(session, bo.account_id, bo.id)
        except LastPerson as error:
            refused.append(error)

    second = threading.Thread(target=remove_bo)
    with database.write() as session:
        members.remove(session, ada.account_id, ada.id)
        second.start()
        second.join(0.5)  # enough time to overtake the commit, if that were possible
    second.join()
    assert len(refused) == 1
    with database.read() as session:
        assert [left.id for left in queries.people(session, bo.account_id)] == [bo.id]
