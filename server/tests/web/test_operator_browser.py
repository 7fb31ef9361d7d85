from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from beating import beat
from browsers import enter
from history import account, add, split
from visitors import person


@pytest.fixture
def base(client: httpx2.Client) -> str:
    """Base URL of the pages."""
    return f"http://localhost:{client.base_url.port}"


@pytest.fixture
def boss(database: Database, server_secrets: Secrets) -> Person:
    """The owner."""
    return person(database, server_secrets, "owner@example.org", owner=True)


@pytest.fixture
def page(browser: Browser, base: str, boss: Person) -> Iterator[Page]:
    """The owner's browser, signed in; the test fails on any console error."""
    context = browser.new_context(base_url=base, locale="en")
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    enter(page, boss.email, there="/operator")
    yield page
    context.close()
    assert not said


def test_a_person_is_invited_joins_and_gets_minutes(
    browser: Browser, page: Page, base: str
) -> None:
    page.get_by_role("link", name="Accounts").click()
    page.get_by_text("New account").click()
    page.get_by_label("Name", exact=True).fill("Aurora Studio")
    page.get_by_label("Starting minutes").fill("0")
    page.get_by_role("button", name="Create account").click()
    link = page.locator("#link").inner_text()
    assert link.startswith(f"{base}/join/")

    guests = browser.new_context(base_url=base, locale="en")
    guest = guests.new_page()
    guest.goto(link)
    expect(guest.get_by_role("main")).to_contain_text("Aurora Studio")
    guest.get_by_label("Email").fill("mika@example.org")
    guest.get_by_label("Password").fill("a long password")
    guest.get_by_role("button", name="Continue").click()
    guest.wait_for_url("**/studio")
    expect(guest.get_by_role("link", name="Operator")).to_have_count(0)
    answer = guest.goto("/operator")
    assert answer is not None
    assert answer.status == 404

    page.goto("/operator/accounts?q=mika")
    page.get_by_role("link", name="Aurora Studio").click()
    expect(page.get_by_text("mika@example.org")).to_be_visible()
    page.get_by_label("Pack of 50", exact=True).check()
    expect(page.get_by_placeholder("Minutes")).to_be_hidden()
    page.get_by_label("Another amount").check()
    page.get_by_placeholder("Minutes").fill("5")
    page.locator("form[action$=credits]").get_by_label("Reason").fill("welcome")
    page.get_by_role("button", name="Grant").dblclick()  # granted once
    expect(page.locator("#balance")).to_have_text("5:00")

    guest.goto("/settings/usage")
    expect(guest.locator(".figure").first).to_have_text("5:00 min")
    row = guest.get_by_role("row").filter(has_text="welcome")
    expect(row).to_contain_text("+5:00")
    guest.goto("/settings/account")
    expect(guest.locator("dl div").filter(has_text="Balance")).to_contain_text("5:00")
    guests.close()


def test_the_overview_updates_while_in_use(page: Page, database: Database) -> None:
    one = account(database, "Aurora Studio")
    add(database, *(split(account(database, f"studio {n}"), "queued") for n in range(40)))
    beat(database)
    page.reload()
    waiting = page.locator(".figure").first
    expect(waiting).to_have_text("40")
    link = page.get_by_role("link", name="studio 30")
    link.focus()
    page.mouse.wheel(0, 300)
    page.wait_for_function("scrollY > 200")
    page.locator("summary").first.evaluate("summary => summary.click()")
    before = page.evaluate("[scrollY, document.activeElement.id]")

    add(database, *(split(one, "queued") for _ in range(2)))
    expect(waiting).to_have_text("42")
    expect(page.get_by_role("link", name="Aurora Studio")).to_be_visible()
    assert page.evaluate("document.activeElement.textContent") == "studio 30"
    scrolled, focused = page.evaluate("[scrollY, document.activeElement.id]")
    assert focused == before[1]
    # The browser keeps the scroll position when a row is added above.
    assert abs(scrolled - before[0]) < 150
    expect(page.locator("details").first).to_have_attribute("open", "")
    times = page.locator("#now time").all_inner_texts()
    assert times
    assert not [shown for shown in times if re.search("UTC", shown)]


def test_the_pages_work_without_scripts(
    browser: Browser, base: str, boss: Person, database: Database
) -> None:
    add(database, split(account(database, "Aurora Studio"), "queued"))
    context = browser.new_context(base_url=base, locale="en", java_script_enabled=False)
    page = context.new_page()
    enter(page, boss.email, there="/operator")
    expect(page.locator(".figure").first).to_have_text("1")
    page.get_by_role("link", name="Aurora Studio").click()
    page.get_by_label("Pack of 50", exact=True).check()
    page.locator("form[action$=credits]").get_by_label("Reason").fill("welcome")
    page.get_by_role("button", name="Grant").click()
    expect(page.locator("#balance")).to_have_text("60:00")
    context.close()
