"""Webhook endpoints and events, of both clients, and the commands."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aistemsplitter import (
    AiStemSplitter,
    AsyncAiStemSplitter,
    Conflict,
    InputError,
    NotFound,
    ServerError,
    ValidationFailed,
)
from aistemsplitter.testing import FakeService
from loopback import Loopback

URL, SONG = "https://shop.example/hooks", "https://music.example/song.flac"


def test_endpoints(client: Any, loopback: Loopback) -> None:
    made = client.create_webhook_endpoint(URL, events=["split.failed"], description="orders")
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    found = client.get_webhook_endpoint(made)
    assert (found.events, found.description, found.secret) == (("split.failed",), "orders", None)
    with pytest.raises(Conflict):
        client.create_webhook_endpoint(URL)
    with pytest.raises(ValidationFailed):
        client.create_webhook_endpoint("ftp://shop.example/")
    with pytest.raises(InputError, match="list"):
        client.create_webhook_endpoint(f"{URL}/2", events="split.failed")
    off = client.update_webhook_endpoint(made.id, disabled=True)
    assert (off.disabled, off.disabled_reason, off.url) == (True, "disabled with the API", URL)
    on = client.update_webhook_endpoint(off, disabled=False, description="")
    assert (on.disabled, on.description) == (False, "")
    new = client.rotate_webhook_secret(made)
    assert new.secret != made.secret
    assert new.previous_secret_until is not None
    loopback.service.fail_next(503, path="/v1/webhooks/endpoints")
    with pytest.raises(ServerError):  # a retry would end the secret that is in use
        client.rotate_webhook_secret(made)
    assert client.delete_webhook_endpoint(made).deleted
    for call in (client.get_webhook_endpoint, client.delete_webhook_endpoint):
        with pytest.raises(NotFound):
            call(made)
    assert client.list_webhook_endpoints().items == ()


def test_events(client: Any, loopback: Loopback) -> None:
    loopback.service.fail_split()
    failed, done = client.submit(audio_url=SONG), client.submit(audio_url=SONG)
    for job in (failed, done):
        loopback.service.finish(job.id)
    first, second = client.list_events().items
    assert [first.type, second.type] == ["split.succeeded", "split.failed"]
    assert first.data.id == done.id
    assert "vocals" in first.data.stems
    assert client.get_event(second).data.error.code == "UNSUPPORTED_MEDIA"
    assert [each.id for each in client.list_events(type="split.failed").items] == [second.id]
    with pytest.raises(Conflict):
        client.redeliver_event(first)
    made = client.create_webhook_endpoint(URL, events=["split.failed"])
    (delivery,) = client.redeliver_event(second)
    assert (delivery.endpoint_id, delivery.event_id) == (made.id, second.id)
    assert (delivery.state, delivery.url) == ("pending", URL)
    (delivery,) = client.redeliver_event(first.id, endpoint_id=made)
    assert delivery.split_id == done.id
    with pytest.raises(NotFound):
        client.redeliver_event(first, endpoint_id="whe_0")


def test_lists_continue_across_pages() -> None:
    service = FakeService()
    with AiStemSplitter("k", transport=service) as client:
        urls = [f"{URL}/{number}" for number in range(3)]
        for url in urls:
            client.create_webhook_endpoint(url)
            service.finish(client.submit(audio_url=SONG).id)
        assert [each.url for each in client.list_webhook_endpoints(limit=2)] == urls[::-1]
        ids = [event.id for event in client.list_events(limit=2)]
        assert len(ids) == 3

    async def main() -> None:
        async with AsyncAiStemSplitter("k", transport=service) as client:
            found = [each.url async for each in client.list_webhook_endpoints(limit=2)]
            assert found == urls[::-1]
            assert [event.id async for event in client.list_events(limit=2)] == ids

    anyio.run(main)
