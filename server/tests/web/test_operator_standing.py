"""Suspending, resuming and deleting accounts on the operator's pages, and their audit log."""

from __future__ import annotations

import csv
import io
import json

from aistemsplitter_server.accounts.tables import Account, Person
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.kit.database import Database
from customers import Customer
from databases import only_sqlite
from visitors import Visitor


def test_an_account_is_suspended_and_resumed(
    owner: Visitor, signed_in: Visitor, ada: Person, hers: Customer
) -> None:
    hers.split()
    path = f"/operator/accounts/{ada.account_id}"
    assert owner.post(f"{path}/suspend", {"reason": "did not pay"}).headers["location"] == path
    assert hers.balance == 600
    page = owner.get(path).text
    assert "suspended</span>" in page
    assert "Resume account" in page
    assert signed_in.get("/studio").status_code == 403
    assert owner.post(f"{path}/suspend").is_redirect  # repeating it changes nothing
    assert owner.post(f"{path}/resume").headers["location"] == path
    assert signed_in.get("/studio").status_code == 200

    log = owner.get(f"/operator/audit?account={ada.account_id}").text
    assert log.count(">account.suspended</span>") == log.count(">account.resumed</span>") == 1
    assert "reason: did not pay" in log
    assert "owner@example.org" in log


def test_deleting_an_account_requires_its_name(
    owner: Visitor, signed_in: Visitor, ada: Person, database: Database
) -> None:
    path = f"/operator/accounts/{ada.account_id}"
    wrong = owner.post(f"{path}/delete", {"name": "another"})
    assert wrong.status_code == 422
    assert "not the account’s name" in wrong.text
    assert signed_in.get("/studio").status_code == 200
    with database.read() as session:
        name = session.get_one(Account, ada.account_id).name
    assert owner.post(f"{path}/delete", {"name": name}).headers["location"] == path
    page = owner.get(path).text
    assert "being deleted</span>" in page
    assert "/suspend" not in page
    assert signed_in.get("/studio").headers["location"].startswith("/sign-in")
    assert signed_in.sign_in(ada.email).status_code in (401, 404)
    assert owner.post(f"{path}/suspend").status_code == 404


@only_sqlite
def test_the_owners_account_can_be_neither_suspended_nor_deleted(owner: Visitor) -> None:
    accounts = owner.get("/operator/accounts").text
    own = accounts.split('href="/operator/accounts/acc_')[1].partition('"')[0]
    path = f"/operator/accounts/acc_{own}"
    assert "/suspend" not in owner.get(path).text
    assert owner.post(f"{path}/suspend").status_code == 409
    assert owner.post(f"{path}/delete", {"name": "owner"}).status_code == 409


@only_sqlite
def test_filters_paging_and_download_of_the_log(
    owner: Visitor, ada: Person, database: Database
) -> None:
    with database.write() as session:
        for number in range(60):
            name = f"=key {number:02}"
            audit.record(session, ada.account_id, ada.id, Action.KEY_CREATED, name=name)
    page = owner.get(f"/operator/audit?account={ada.account_id}&action=key.created").text
    assert page.count(">key.created</span>") == 50
    assert "action=key.created&amp;before=aud_" in page
    assert "No matching entries." in owner.get("/operator/audit?action=split.deleted").text

    query = f"account={ada.account_id}&action=key.created"
    answer = owner.get(f"/operator/audit.csv?{query}")
    rows = [*csv.DictReader(io.StringIO(answer.text))]
    assert len(rows) == 60
    assert (rows[0]["email"], rows[0]["actor"]) == (ada.email, ada.id)
    assert json.loads(rows[0]["details"])["name"].startswith("=key")
    lines = owner.get(f"/operator/audit.jsonl?{query}").text.splitlines()
    assert sorted(json.loads(line)["details"]["name"] for line in lines)[0] == "=key 00"
