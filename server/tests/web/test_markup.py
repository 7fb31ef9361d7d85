"""Markup in users' texts is escaped on every page, also in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx2
import pytest
from playwright.sync_api import Browser, Page

from aistemsplitter_server.accounts import people
from aistemsplitter_server.accounts.tables import Account, Person
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.operations import opening
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage.configured import configured
from beating import beat
from databases import only_sqlite
from estate import Estate, Things
from visitors import PASSWORD, Visitor, person

pytestmark = only_sqlite

# Ends an attribute in either kind of quotes, then a script; and characters that a template or
# double escaping would change.
MARKUP = "\"'><img src=x onerror=alert(1)>{{7*7}}{n}&amp;"
FRAGMENT = "/operator/now"  # a response without a page: for it, browsers would request an icon
# Every page, with the minimum number of occurrences of the text.
PAGES = {
    "/studio": 3,
    "/studio?q={text}": 1,
    "/studio/songs/{split_id}": 2,
    "/studio/songs/{queued}": 1,
    "/studio/songs/{failed}": 2,
    "/settings/developer": 1,
    "/settings/developer/keys/new": 0,
    "/settings/webhooks": 2,
    "/settings/webhooks?find={text}": 1,
    "/settings/webhooks/test?url={text}": 2,
    "/settings/webhooks/{delivery_id}": 4,
    "/settings/usage": 2,
    "/settings/usage/purchases/{purchase_id}": 0,
    "/settings/people": 1,
    "/settings/activity": 1,
    "/settings/account": 2,
    "/operator": 3,
    FRAGMENT: 2,
    "/operator/accounts": 1,
    "/operator/accounts?q={text}": 1,
    "/operator/accounts/{account_id}": 2,
    "/operator/audit?account={account_id}": 2,
    "/operator/audit?account={text}": 1,
    "/operator/failures": 2,
    "/operator/failures?code={text}": 1,
    "/operator/splits/{failed}": 2,
    "/shared/{shared}": 1,
    "/join/{join}": 0,
    "/join/{guest}": 1,
}


class Markup(HTMLParser):
    """The elements and texts of a page, as browsers parse it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []  # and values of attributes
        self.faults: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check that no attribute contains the markup and no element is unexpected."""
        found = dict(attrs)
        if tag in ("img", "iframe", "object", "embed", "base", "style"):
            self.faults.append(tag)
        if tag == "script" and "src" not in found and found.get("type") != "application/json":
            self.faults.append("a script within the page")
        for name, value in attrs:
            if (
                name.startswith("on")
                or name == "style"
                or not re.fullmatch(r"[a-zA-Z:-]+\d?", name)
            ):
                self.faults.append(f"{tag} {name}")
            if name in ("href", "src", "action") and not re.match(r"[/#]|http://", value or ""):
                self.faults.append(f"{tag} {name}={value}")
            self.texts.append(value or "")

    def handle_data(self, data: str) -> None:
        """Record a text."""
        self.texts.append(data)


@pytest.fixture
def estate(settings: Settings, database: Database, server_secrets: Secrets) -> Estate:
    """Creates objects whose names contain the markup."""
    return Estate(database, server_secrets, configured(settings, server_secrets), MARKUP)


@pytest.fixture
def boss(database: Database, server_secrets: Secrets) -> Person:
    """The operator, whose name, service and worker contain markup."""
    email = f"{MARKUP.replace(' ', '/')}@example.org"
    boss = person(database, server_secrets, email, owner=True)
    with database.write() as session:
        session.get_one(Account, boss.account_id).name = MARKUP
    beat(database, MARKUP)
    return boss


@pytest.fixture
def things(estate: Estate, boss: Person, database: Database) -> Things:
    """The operator's objects, as of any customer; one song is being split."""
    things = estate.things(boss)
    with database.write() as session:
        session.get_one(Account, boss.account_id).name = MARKUP
        split = session.query(Split).filter(Split.error_code == "STRANGE").one()
        split.error_code = MARKUP
    with database.write() as session:
        assert service.begin(session, things["queued"], MARKUP)
        guest = opening.open_account(session, MARKUP, free_seconds=0)
        return {**things, "guest": people.link(session, estate.secrets, guest.id)}


def addresses(things: Things) -> Iterator[tuple[str, int]]:
    """The paths in ``PAGES``, with the ids of existing objects."""
    text = str(httpx2.QueryParams({"x": MARKUP}))[2:]
    for path, times in PAGES.items():
        yield path.format(**things, text=text), times


def test_markup_is_shown_as_text(client: httpx2.Client, boss: Person, things: Things) -> None:
    visitor = Visitor(client)
    assert visitor.sign_in(boss.email).status_code == 303
    for path, times in addresses(things):
        page = visitor.get(path)
        assert page.status_code == 200, path
        read = Markup(page.text)
        assert read.faults == [], path
        seen = sum(MARKUP in text for text in read.texts)
        assert seen >= times, (path, seen)
        for language in ("en", "zh-TW"):
            visitor.cookies["language"] = language


def test_markup_in_rejected_requests(client: httpx2.Client, boss: Person, things: Things) -> None:
    visitor = Visitor(client)
    wrong = {"email": MARKUP, "password": "x", "next": MARKUP}
    refused = visitor.post("/sign-in", wrong)
    assert Markup(refused.text).texts.count(MARKUP) == 2
    pages = [refused, visitor.get("/sign-in", params={"next": MARKUP})]
    pages.append(visitor.post(f"/join/{things['join']}", {"email": MARKUP, "password": PASSWORD}))
    visitor.cookies.clear()
    visitor.sign_in(boss.email)
    for path in ("/studio/songs/", "/settings/webhooks/", "/operator/splits/", "/shared/", "/"):
        pages.append(visitor.get(path + MARKUP.replace("/", "")))
    pages.append(visitor.post("/language", {MARKUP: MARKUP}))
    pages.append(visitor.post("/settings/webhooks/test", {"url": MARKUP, "key": things["key_id"]}))
    pages.append(visitor.post("/settings/people/links", {"note": MARKUP}))
    for page in pages:
        assert Markup(page.text).faults == [], page.url
        assert MARKUP not in page.text


def test_no_page_violates_its_policy_in_a_browser(
    client: httpx2.Client, browser: Browser, boss: Person, things: Things, database: Database
) -> None:
    context = browser.new_context(base_url=f"http://localhost:{client.base_url.port}")
    context.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`))"
    )
    page, faults = context.new_page(), list[str]()
    page.on("dialog", lambda dialog: (faults.append(f"said {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda message: (
            faults.append(f"{message.text} {message.location}") if message.type == "error" else None
        ),
    )
    page.goto("/sign-in")
    page.evaluate(  # browsers reject such an address in the form
        "form => fetch('/sign-in', {method: 'POST', body: new URLSearchParams(form)})",
        {"email": boss.email, "password": PASSWORD},
    )
    for path, _ in addresses(things):
        if path != FRAGMENT:
            page.goto(path)
            assert faults == [], path
    _rows_are_brought_up_to_date(page, things, database)
    assert faults == []
    context.close()


def _rows_are_brought_up_to_date(page: Page, things: Things, database: Database) -> None:
    """Texts that arrive later, by server-sent events and htmx, are escaped too."""
    page.goto("/studio")
    row = page.locator(f"#{things['queued']}")
    row.get_by_role("progressbar").wait_for()
    with database.write() as session:
        service.fail(session, session.get_one(Split, things["queued"]), "STRANGE", MARKUP)
    row.get_by_text(MARKUP).first.wait_for()
    page.get_by_role("searchbox").fill("img src=x")
    page.wait_for_url("**/studio?q=*")
    row.get_by_text(MARKUP).first.wait_for()
    row.get_by_role("button", name="Try again").click()
    row.wait_for(state="detached")  # the retry has replaced it
