"""Lists of splits and raw responses, by both clients."""

from __future__ import annotations

import json
from pathlib import Path

import anyio

from aistemsplitter import (
    AiStemSplitter,
    AsyncAiStemSplitter,
)
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
