"""Calls that type checkers reject; an ignore comment without an error is itself an error here."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from aistemsplitter import AiStemSplitter, AsyncAiStemSplitter

URL = "https://example.com/song.mp3"


def submissions(client: AiStemSplitter) -> None:
    client.create_split()  # type: ignore
    client.create_split(None)  # type: ignore
    client.create_split(URL, audio_url=URL)  # type: ignore
    client.create_split(URL, model="hdtemucs")  # type: ignore
    client.create_split(URL, stem_model="hdtemucs")  # type: ignore
    client.create_split(URL, output_format="wave")  # type: ignore
    client.create_split(URL, options={"bit_depth": 8})  # type: ignore
    client.create_split(URL, options={"bitdepth": 16})  # type: ignore
    client.create_split(URL, stem="vocals")  # type: ignore
    client.submit(URL, metadata={"order": 7})  # type: ignore


def others(client: AiStemSplitter) -> None:
    client.list_splits(status="finished")  # type: ignore
    client.get_split(7)  # type: ignore
    client.wait_for_split()  # type: ignore
    client.with_raw_response.get_split(7)  # type: ignore
    client.with_raw_response.download_split("split_1")  # type: ignore
    client.with_raw_response.list_splits(status="finished")  # type: ignore
    print(client.get_split("split_1").stem_modle)  # type: ignore


async def twin(client: AsyncAiStemSplitter) -> None:
    await client.create_split()  # type: ignore
    await client.submit(URL, audio_url=URL)  # type: ignore
    await client.submit(URL, model="hdtemucs")  # type: ignore
    async for _ in client.list_splits(status="finished"):  # type: ignore
        pass
