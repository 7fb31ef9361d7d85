"""Lists of splits and raw responses, by both clients."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from aistemsplitter import AiStemSplitter, AsyncAiStemSplitter, Conflict, InputError, NotFound
from aistemsplitter.testing import FakeService
from clients import KEY
from loopback import Loopback

URL = "https://example.com/song.mp3"


def test_pages() -> None:
    service = FakeService()
    with AiStemSplitter("k", transport=service) as client:
        made = [client.submit(audio_url=URL).id for _ in range(5)]
        page = client.list_splits(limit=2)
        assert len(page.items) == 2
        assert [split.id for split in page] == made[::-1]
        assert [split.id for split in client.list(status="succeeded")] == []

    async def main() -> None:
        async with AsyncAiStemSplitter("k", transport=service) as client:
            page = await client.list_splits(limit=2)
            assert [split.id async for split in page] == made[::-1]
            following = await page.next_page()
            assert following is not None
            assert [split.id for split in following.items] == made[2:0:-1]

    anyio.run(main)


def test_splits_of_a_time_model_and_metadata(client: Any) -> None:
    made = [
        client.submit(audio_url=URL, model=model, metadata={"order": str(number)}).id
        for number, model in enumerate(("4s", "htdemucs_ft", "6s"))
    ]
    now = datetime.now(UTC)

    def found(**filters: Any) -> list[str]:
        return [split.id for split in client.list_splits(**filters).items]

    assert found(model="htdemucs_ft") == [made[1], made[0]]
    assert found(metadata={"order": "2"}, model="htdemucs_6s") == [made[2]]
    assert found(metadata={"order": "2"}, model="htdemucs") == []
    assert found(created_before=now + timedelta(days=1), metadata={"order": "0"}) == [made[0]]
    assert found(created_after=now + timedelta(days=1)) == []
    with pytest.raises(InputError, match="time zone"):
        found(created_after=datetime(2026, 5, 3))
    with pytest.raises(InputError, match="mapping"):
        found(metadata=["order"])


def test_uploads(client: Any, loopback: Loopback) -> None:
    made = [client.create_upload(f"{number}.wav", content_length=9) for number in range(3)]
    page = client.list_uploads(limit=2)
    assert [upload.filename for upload in page.items] == ["2.wav", "1.wav"]
    last = client.list_uploads(limit=2, cursor=page.next_cursor)
    assert [upload.upload_id for upload in last.items] == [made[0].upload_id]
    assert not last.has_next_page()
    found = client.get_upload(made[0])
    assert (found.content_length, found.uploaded, found.duration_seconds) == (9, False, None)
    assert client.delete_upload(found).upload_id == found.upload_id
    for call in (client.get_upload, client.delete_upload):
        with pytest.raises(NotFound):
            call(found.upload_id)
    with pytest.raises(InputError, match="not an upload"):
        client.get_upload(3)
    job = client.create_split(b"RIFF", filename="a.wav")
    used = client.list_uploads().items[0]
    assert used.uploaded
    with pytest.raises(Conflict):
        client.delete_upload(used)
    loopback.service.finish(job.id)
    assert client.delete_upload(used).deleted


def test_lists_of_uploads_continue_across_pages() -> None:
    service = FakeService()
    with AiStemSplitter("k", transport=service) as client:
        names = [f"{number}.wav" for number in range(5)]
        for name in names:
            client.create_upload(name, content_length=9)
        assert [each.filename for each in client.list_uploads(limit=2)] == names[::-1]

    async def main() -> None:
        async with AsyncAiStemSplitter("k", transport=service) as client:
            found = [each.filename async for each in client.list_uploads(limit=2)]
            assert found == names[::-1]

    anyio.run(main)


def test_usage(client: Any) -> None:
    client.submit(audio_url=URL)
    used = client.get_usage()
    assert (used.seconds, used.splits, len(used.days)) == (180, 1, 30)
    assert sum(day.seconds for day in used.days) == 180
    day = date(2026, 5, 3)
    used = client.get_usage(start=day, end=day)
    assert (used.seconds, [each.day for each in used.days]) == (0, [day])
    with pytest.raises(InputError, match="date"):
        client.get_usage(start="2026-05-03")


def test_async_lists_without_an_extra_await(backend: str) -> None:
    async def main() -> None:
        async with AsyncAiStemSplitter("k", transport=FakeService()) as client:
            made = [(await client.submit(audio_url=f"{URL}?{n}")).id for n in range(5)]
            assert [split.id async for split in client.list_splits(limit=2)] == made[::-1]
            listing = client.list(limit=2)
            page = await listing
            assert page.has_next_page()
            assert [split.id async for split in page] == made[::-1]
            assert [split.id async for split in await page.next_page() or ()] == made[2::-1]
            raw = await client.with_raw_response.list_splits(limit=2)
            assert raw.data.next_cursor == page.next_cursor
            client.list_splits()  # neither awaited nor iterated: no warning
            if backend == "asyncio":
                import asyncio

                task = asyncio.create_task(client.list_splits(limit=1))
                assert len((await task).items) == 1
                assert len((await asyncio.gather(client.list_splits()))[0].items) == 5

    anyio.run(main, backend=backend)


def test_raw_responses(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        raw = client.with_raw_response.submit(audio_url=URL)
        assert raw.status == 200
        assert raw.request_id == raw.headers["request-id"]
        assert raw.data.id == json.loads(raw.body)["data"]["id"]
        assert client.with_raw_response.list_splits().data.items[0].id == raw.data.id

    async def main() -> None:
        async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
            raw = await client.with_raw_response.get_credits()
            assert raw.data.balance == 36_000 - 180
            assert raw.request_id

    anyio.run(main)


def test_raw_downloads(kind: str, loopback: Loopback, tmp_path: Path) -> None:
    loopback.service._streams = True
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        split = client.wait(client.submit(audio_url=URL))
        for number, given in enumerate((split, split.id)):
            raw = client.with_raw_response.download_split(given, tmp_path / str(number))
            assert raw.data["vocals"].name == "vocals.wav"
            assert json.loads(raw.body)["data"]["id"] == split.id
            assert raw.request_id

    if kind != "sync":

        async def main() -> None:
            async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
                raw = await client.with_raw_response.download(split, tmp_path / "async")
                assert raw.status == 200
                assert len(raw.data) == 4

        anyio.run(main, backend=kind)
