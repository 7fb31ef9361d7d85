from __future__ import annotations

import re
from datetime import timedelta

import pytest
from fastapi.routing import APIRoute

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.retention import failures, runs
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.web import operator, operator_accounts, operator_audit, operator_failures
from aistemsplitter_server.webhooks.tables import Receiver
from aistemsplitter_server.workers.tables import DEAD_AFTER, Worker
from beating import beat
from customers import Customer, customer
from history import account, add, split
from visitors import Visitor, account_of

MARKUP = "<img src=x onerror=alert(1)>"
SHOWN = "&lt;img src=x onerror=alert(1)&gt;"
SECOND = timedelta(seconds=1)


def figures(page: str) -> list[str]:
    """Return the numbers at the top of a page."""
    found = re.findall(r'<p class="figure[^>]*>(.*?)</p>', page, re.S)
    return [re.sub(r"<.*?>", "", figure).strip() for figure in found]


def entry(page: str) -> str:
    """Return the entry id in the form for granting minutes."""
    found = re.search(r'name="entry" value="(ent_\w+)"', page)
    assert found
    return found[1]


PAGES = [
    ("GET", "/operator"),
    ("GET", "/operator/now"),
    ("GET", "/operator/accounts"),
    ("POST", "/operator/accounts"),
    ("GET", "/operator/accounts/{account}"),
    ("POST", "/operator/accounts/{account}/credits"),
    ("POST", "/operator/accounts/{account}/links"),
    ("POST", "/operator/accounts/{account}/links/lnk_none/revoke"),
    ("POST", "/operator/accounts/{account}/suspend"),
    ("POST", "/operator/accounts/{account}/resume"),
    ("POST", "/operator/accounts/{account}/delete"),
    ("GET", "/operator/audit"),
    ("GET", "/operator/audit.csv"),
    ("GET", "/operator/audit.jsonl"),
    ("GET", "/operator/failures"),
    ("GET", "/operator/splits/{split}"),
    ("POST", "/operator/splits/{split}/retry"),
]


def test_every_operator_route_is_covered() -> None:
    """By ``PAGES``, which the next test uses."""
    served = {
        (method, route.path)
        for page in (operator, operator_accounts, operator_audit, operator_failures)
        for route in page.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    names = {"{account}": "{account_id}", "{split}": "{split_id}", "lnk_none": "{link_id}"}
    tested = set()
    for method, path in PAGES:
        for name, parameter in names.items():
            path = path.replace(name, parameter)
        tested.add((method, path))
    assert served == tested


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_the_operators_pages_do_not_exist_for_others(
    signed_in: Visitor, ada: Person, database: Database, method: str, path: str
) -> None:
    mine = split(ada.account_id, "failed")
    add(database, mine)
    path = path.format(account=ada.account_id, split=mine.id)
    form = {"name": "mine", "minutes": "5", "reason": "me", "entry": ids.new("ent")}
    headers = {"Sec-Fetch-Site": "same-origin"}
    data = form if method == "POST" else None
    answer = signed_in.request(method, path, headers=headers, data=data)
    assert answer.status_code == 404
    nothing = signed_in.get("/operator/nothing")
    heading = re.compile(r"<main.*?</p>", re.S)
    assert heading.findall(answer.text) == heading.findall(nothing.text)
    with database.read() as session:
        assert credits.balance(session, ada.account_id) == 600

    signed_in.cookies.clear()
    assert signed_in.request(method, path, headers=headers, data=data).status_code == 303


def test_the_overview_of_an_empty_service(owner: Visitor) -> None:
    page = owner.get("/operator")
    assert page.status_code == 200
    waiting, drained, workers, _disk, webhooks = figures(page.text)
    assert (waiting, drained, workers, webhooks) == ("0", "0:00", "0", "0")
    assert "No workers running" in page.text
    assert "No failures" in page.text


def test_the_overview(owner: Visitor, database: Database) -> None:
    one = account(database, MARKUP)
    now = times.now()
    add(
        database,
        split(one, "queued", created_at=now - 75 * SECOND),
        split(one, "queued", duration_seconds=0, upload_id=None, input_url="https://x.example"),
        split(
            one,
            "processing",
            filename=MARKUP,
            progress=0.5,
            started_at=now - 20 * SECOND,
            worker_id="wrk_ABCDEF",
        ),
        split(one, "succeeded", started_at=now - 6 * SECOND, duration_seconds=60),
        split(one, "failed", error_message=MARKUP),
        split(one, "failed", error_code="CANCELED"),
    )
    beat(database, "wrk_ABCDEF", audio_seconds=100)
    beat(database, "wrk_dead00")
    with database.write() as session:
        session.get_one(Worker, "wrk_dead00").seen_at = now - DEAD_AFTER - SECOND
        session.add(Receiver(account_id=one, url="https://x/" + MARKUP, disabled_at=now))
    page = owner.get("/operator").text
    waiting, drained, workers, _disk, _webhooks = figures(page)
    assert (waiting, drained, workers) == ("2", "0:09", "1")
    assert re.search(r"The oldest for 1:1[5-9]", page)
    assert "and 1 song of unknown length" in page
    assert "1 is dead" in page
    assert "10.0×" in page
    assert "50%" in page
    assert "1 succeeded, 1 failed, 1 min of audio" in page
    assert "1 webhook URL is disabled" in page
    assert MARKUP not in page
    assert page.count(SHOWN) >= 5

    part = owner.get("/operator/now", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert figures(part)[:3] == ["2", "0:09", "1"]
    ids_of_part = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids_of_part) == len(set(ids_of_part))  # otherwise the focus would be lost


def test_charts_have_a_table(owner: Visitor, database: Database) -> None:
    add(database, *(split(account(database), "succeeded", duration_seconds=90) for _ in range(3)))
    page = owner.get("/operator").text
    assert page.count('role="img"') == page.count("<title id=") == 4
    rows = re.findall(r"<tr><td>.*?</tr>", page)
    assert len(rows) == 24 + 30
    assert rows[0].endswith(
        '<td class="number">3</td><td class="number">0</td><td class="number">0</td>'
        '<td class="number">4.5</td></tr>'
    )


def test_failed_deletions_are_shown(owner: Visitor, database: Database) -> None:
    assert "No worker has deleted expired data yet." in owner.get("/operator").text
    now = times.now()
    with database.write() as session:
        runs.note(session, "stems", now, deleted=1234, failures=0, error=None)
    page = owner.get("/operator").text
    assert "All expired data is deleted" in page
    assert "1,234" in page
    with database.write() as session:
        failures.note(session, "stems", [], {"split_1": f"PermissionError: {MARKUP}"}, now)
        runs.note(session, "links", now, deleted=0, failures=1, error=MARKUP)
    page = owner.get("/operator").text
    assert "Some expired data could not be deleted" in page
    assert "split_1" in page
    assert page.count(SHOWN) == 2
    assert MARKUP not in page


def test_an_account_is_created_and_a_person_joins(owner: Visitor, visitor: Visitor) -> None:
    new_id = re.search(r'name="id" value="(acc_\w+)"', owner.get("/operator/accounts").text)
    assert new_id
    form = {"id": new_id[1], "name": MARKUP, "minutes": "7"}
    made = owner.post("/operator/accounts", form)
    assert made.status_code == 201
    again = owner.post("/operator/accounts", form)  # a double click
    assert again.headers["location"] == f"/operator/accounts/{new_id[1]}"
    assert owner.get("/operator/accounts").text.count(SHOWN) == 1
    assert MARKUP not in made.text
    link = re.search(r'<code id="link">http://[^/]+(/join/[\w-]+)</code>', made.text)
    assert link
    assert figures(made.text)[0] == "7:00"

    assert visitor.post(link[1], {"email": "bo@example.org", "password": "x" * 12}).is_redirect
    listed = owner.get("/operator/accounts").text
    assert SHOWN in listed
    assert link[1] not in owner.get("/operator/accounts?q=bo@example").text
    account_id = re.search(
        r"/operator/accounts/(acc_\w+)", owner.get("/operator/accounts?q=bo@").text
    )
    assert account_id
    page = owner.get(f"/operator/accounts/{account_id[1]}").text
    assert "bo@example.org" in page


@pytest.mark.parametrize("form", [{"name": "", "minutes": "1"}, {"name": "x", "minutes": "-1"}])
def test_an_account_needs_a_name_and_a_positive_balance(
    owner: Visitor, form: dict[str, str]
) -> None:
    form = {"id": ids.new("acc"), **form}
    assert owner.post("/operator/accounts", form).status_code == 422


def test_search_and_paging_of_accounts(owner: Visitor, database: Database) -> None:
    for number in range(27):
        account(database, f"studio {number:02}")
    first = owner.get("/operator/accounts?q=studio").text
    assert first.count("/operator/accounts/acc_") == 25
    older = re.search(r'href="(/operator/accounts\?q=studio&amp;before=acc_\w+)"', first)
    assert older
    second = owner.get(older[1].replace("&amp;", "&")).text
    assert re.findall(r">(studio \d\d)<", second) == ["studio 01", "studio 00"]
    assert "No matching accounts." in owner.get("/operator/accounts?q=%25").text


def test_minutes_are_granted_and_withdrawn_once(owner: Visitor, ada: Person) -> None:
    path = f"/operator/accounts/{ada.account_id}"
    form = {"kind": "grant", "minutes": "5", "pack": "", "reason": MARKUP}
    form["entry"] = entry(owner.get(path).text)
    for _ in range(2):  # a double click
        assert owner.post(f"{path}/credits", form).headers["location"] == path
    page = owner.get(path).text
    assert figures(page)[0] == "15:00"
    assert MARKUP not in page
    assert "+5:00" in page

    granted = entry(page)
    form |= {"entry": granted, "pack": "50", "minutes": "", "reason": "invoice 7"}
    assert owner.post(f"{path}/credits", form).is_redirect
    page = owner.get(path).text
    assert figures(page)[0] == "65:00"
    assert "pack of 50 minutes: invoice 7" in page

    form = {"kind": "withdrawal", "minutes": "60", "pack": "", "reason": "invoice 7 was not paid"}
    form["entry"] = entry(page)
    for _ in range(2):
        assert owner.post(f"{path}/credits", form).headers["location"] == path
    page = owner.get(path).text
    assert figures(page)[0] == "5:00"
    assert "invoice 7 was not paid" in page
    form["entry"] = granted
    assert owner.post(f"{path}/credits", form).status_code == 409, "the id of a grant"
    form |= {"entry": entry(page), "minutes": "6"}
    assert owner.post(f"{path}/credits", form).status_code == 402


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"minutes": "0"}, 422),
        ({"minutes": "100001"}, 422),
        ({"minutes": ""}, 422),
        ({"pack": "51"}, 404),
        ({"reason": " "}, 422),
        ({"entry": "mine"}, 422),
        ({"kind": "loan"}, 422),
        ({"kind": "withdrawal", "minutes": "11"}, 402),
    ],
)
def test_invalid_grants(
    owner: Visitor, ada: Person, database: Database, wrong: dict[str, str], status: int
) -> None:
    form = {"entry": ids.new("ent"), "kind": "grant", "minutes": "5", "reason": "why not", **wrong}
    refused = owner.post(f"/operator/accounts/{ada.account_id}/credits", form)
    assert refused.status_code == status
    with database.read() as session:
        assert credits.balance(session, ada.account_id) == 600


def test_a_grant_with_an_entry_of_another_account(
    owner: Visitor, ada: Person, database: Database
) -> None:
    form = {"entry": ids.new("ent"), "kind": "grant", "minutes": "5", "reason": "why not"}
    other = account(database)
    assert owner.post(f"/operator/accounts/{other}/credits", form).is_redirect
    assert owner.post(f"/operator/accounts/{ada.account_id}/credits", form).status_code == 409


def test_a_link_to_choose_a_new_password(
    owner: Visitor, visitor: Visitor, ada: Person, database: Database
) -> None:
    path = f"/operator/accounts/{ada.account_id}"
    made = owner.post(f"{path}/links", {"person": ada.id}).text
    link = re.search(r'<code id="link">http://[^/]+(/join/[\w-]+)</code>', made)
    assert link
    assert visitor.post(link[1], {"password": "a new password"}).is_redirect
    visitor.cookies.clear()
    assert visitor.sign_in(ada.email, "a new password").status_code == 303
    elsewhere = f"/operator/accounts/{account(database)}/links"
    assert owner.post(elsewhere, {"person": ada.id}).status_code == 404


def test_a_link_is_revoked(owner: Visitor, visitor: Visitor, ada: Person) -> None:
    path = f"/operator/accounts/{ada.account_id}"
    made = owner.post(f"{path}/links", {"note": MARKUP}).text
    assert MARKUP not in made
    link = re.search(r"(/join/[\w-]+)</code>", made)
    revoke = re.search(rf'action="({path}/links/\w+/revoke)"', made)
    assert link
    assert revoke
    assert visitor.get(link[1]).status_code == 200
    assert owner.post(revoke[1]).is_redirect
    assert visitor.get(link[1]).status_code == 404
    assert owner.post(revoke[1]).status_code == 404
    assert SHOWN not in owner.get(path).text


def test_failures_by_reason(owner: Visitor, ada: Person, database: Database) -> None:
    one = account(database, "one")
    add(
        database,
        *(split(one, "failed", filename=f"song {number:02}") for number in range(26)),
        split(ada.account_id, "failed", error_code="UNSUPPORTED_MEDIA", filename=MARKUP),
        split(one, "failed", error_code="CANCELED", filename="not wanted"),
    )
    page = owner.get("/operator/failures").text
    assert re.findall(r'class="mono" href="/operator/failures\?code=(\w+)"', page) == [
        "INTERNAL",
        "UNSUPPORTED_MEDIA",
    ]
    assert "not wanted" not in page
    assert page.count("/retry") == 25
    only = owner.get("/operator/failures?code=UNSUPPORTED_MEDIA").text
    assert only.count("/retry") == 1
    assert SHOWN in only
    assert MARKUP not in only
    older = re.search(
        r'href="(/operator/failures\?code=INTERNAL&amp;before=\w+)"',
        owner.get("/operator/failures?code=INTERNAL").text,
    )
    assert older
    assert owner.get(older[1].replace("&amp;", "&")).text.count("/retry") == 1


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    """A customer with a minute of credits."""
    return customer(database, server_secrets, seconds=60)


@pytest.mark.parametrize("asked_by", ["key", "person"])
def test_a_failed_split_is_retried(
    owner: Visitor, someone: Customer, ada: Person, database: Database, asked_by: str
) -> None:
    failed = someone.split(20)
    with database.write() as session:
        row = session.get_one(Split, failed.id)
        row.status, row.error_code, row.error_message = "failed", "INTERNAL", MARKUP
        if asked_by == "person":
            row.key_id = ada.id
    page = owner.get(f"/operator/splits/{failed.id}")
    assert page.status_code == 200
    assert SHOWN in page.text
    again = owner.post(f"/operator/splits/{failed.id}/retry")
    assert again.is_redirect
    made = again.headers["location"]
    assert made != f"/operator/splits/{failed.id}"
    assert "waiting" in owner.get(made).text
    assert owner.post(f"{made}/retry").status_code == 409  # it has not failed

    twice = owner.post(f"/operator/splits/{failed.id}/retry")
    assert twice.headers["location"] == made
    assert someone.balance == 20

    other = someone.split(20)
    with database.write() as session:
        session.get_one(Split, other.id).status = "failed"
    poor = owner.post(f"/operator/splits/{other.id}/retry")
    assert poor.status_code == 402
    assert "Not enough minutes left for this song" in poor.text


def test_an_unknown_split(owner: Visitor) -> None:
    assert owner.get("/operator/splits/split_none").status_code == 404
    assert owner.post("/operator/splits/split_none/retry").status_code == 404
    assert owner.get("/operator/accounts/acc_none").status_code == 404


def test_in_chinese(owner: Visitor, ada: Person, database: Database) -> None:
    owner.cookies["language"] = "zh-TW"
    add(database, split(ada.account_id, "failed"), split(ada.account_id, "queued"))
    pages = ("", "/accounts", f"/accounts/{account_of(database, ada).id}", "/failures", "/audit")
    for page in pages:
        answer = owner.get("/operator" + page)
        assert answer.status_code == 200
        assert "總覽" in answer.text
