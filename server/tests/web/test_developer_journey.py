"""A developer's journey, in a real browser, with the SDK and the service's processes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from aistemsplitter import AiStemSplitter, Unauthorized, WebhookEvent, verify_signature
from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit.settings import Settings
from browsers import enter
from databases import only_sqlite
from peers import Peer, answers
from processes import SONG, running, until


@only_sqlite
def test_a_key_from_its_creation_to_its_revocation(
    browser: Browser, settings: Settings, ada: Person
) -> None:
    with (
        running(settings) as service,
        service.api() as client,
        Peer([answers(500, b"not yet"), answers(204)]) as receiver,
    ):
        service.start("worker")
        here = f"http://localhost:{client.base_url.port}"
        context = browser.new_context(base_url=here)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("dialog", lambda dialog: dialog.accept())

        enter(page, ada.email, there="/settings/developer")

        # Creating and copying the key; a reload creates no second one.
        page.get_by_role("link", name="Create key").first.click()
        page.get_by_label("Name").fill("journey")
        page.get_by_role("button", name="Create key").click()
        page.locator("button[data-copy=api-key]").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        api_key = page.evaluate("navigator.clipboard.readText()")
        assert api_key == page.locator("#api-key").inner_text()
        secret = page.locator("#webhook-secret").inner_text()
        page.get_by_role("radio", name="Python").press("ArrowRight")
        expect(page.locator("#snippet-node")).to_be_visible()
        expect(page.locator("#snippet-python")).to_be_hidden()
        page.reload()
        expect(page.locator("li.key")).to_have_count(1)
        last_use = page.locator("li.key dd").nth(1)
        expect(last_use).to_have_text("never")
        assert api_key not in page.content()

        # Using it.
        with AiStemSplitter(api_key, base_url=here) as sdk:
            job = sdk.create_split(
                input=SONG, stem_model="htdemucs_tiny", webhook_url=f"{receiver.url}/hook"
            )
            assert sdk.wait_for_split(job.id).stems
        page.reload()
        expect(last_use).to_contain_text(re.compile(r"\d{4}"))

        # Its webhook, which is delivered again automatically, and then manually.
        page.get_by_role("link", name="Webhooks").click()
        page.get_by_label("Find").fill("/HOOK")
        expect(page).to_have_url(re.compile("find=%2FHOOK"))
        page.get_by_role("link", name="split.succeeded").click()
        expect(page.get_by_text("HTTP 500")).to_be_visible()
        expect(page.get_by_text("not yet")).to_be_visible()
        expect(page.get_by_text("Delivered")).to_be_visible()  # without a reload
        first = page.url
        page.get_by_role("button", name="Replay").click()
        expect(page.get_by_text("HTTP 204")).to_be_visible()
        assert page.url != first
        events = [verified(request.headers, request.body, secret) for request in receiver.requests]
        assert len(events) == 3
        assert {event.id for event in events} == {events[0].id}
        assert {event.data.id for event in events} == {job.id}

        # A test event.
        page.goto("/settings/webhooks")
        page.get_by_role("link", name="Send a test event").click()
        page.get_by_label("URL").fill(receiver.url)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("Delivered")).to_be_visible()
        sample = receiver.requests[-1]
        assert verified(sample.headers, sample.body, secret).test

        # Usage.
        page.get_by_role("link", name="Usage and credits").click()
        expect(page.locator(".figure").first).to_have_text("9:40 min")
        expect(page.get_by_role("link", name=SONG.name)).to_be_visible()

        # Revoking it.
        page.get_by_role("link", name="Developer").click()
        page.get_by_role("button", name="Revoke : journey").click()
        expect(page.get_by_text("1 revoked or expired key")).to_be_visible()
        with AiStemSplitter(api_key, base_url=here) as sdk, pytest.raises(Unauthorized):
            sdk.get_credits()
        until(lambda: len(receiver.requests) == 4)
        assert complaints == []
        context.close()


def verified(headers: list[tuple[str, str]], body: bytes, secret: str) -> WebhookEvent:
    return verify_signature(headers, body, secret)
