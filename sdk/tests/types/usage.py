"""Calls that type checkers accept, and the inferred types; checked, never run."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import assert_type, cast

from aistemsplitter import (
    AiStemSplitter,
    AsyncAiStemSplitter,
    AsyncSplitPage,
    AsyncSplits,
    Model,
    OutputFormat,
    RawResponse,
    Split,
    SplitJob,
    SplitPage,
    SplitStatus,
    StemModelName,
    StemUrls,
    Upload,
    UploadInfo,
    UploadPage,
    Usage,
    WebhookEvent,
)

URL = "https://example.com/song.mp3"


class Mine(AiStemSplitter):
    """A user's subclass."""


def submissions(client: AiStemSplitter, name: str) -> None:
    assert_type(client.create_split(URL), SplitJob)
    assert_type(client.create_split(Path("song.mp3"), model="htdemucs_6s"), SplitJob)
    assert_type(client.create_split(input=b"RIFF", filename="a.wav", stems=["vocals"]), SplitJob)
    assert_type(client.create_split({"type": "direct_url", "url": URL}), SplitJob)
    assert_type(client.submit(audio_url=URL, stem_model="htdemucs_ft"), SplitJob)
    assert_type(client.submit(client.create_upload("a.mp3").input), SplitJob)
    client.create_split(URL, options={"bit_depth": 24, "shifts": 2, "overlap": 0.5})
    # Values of a newer server that this version of the package does not know.
    client.create_split(URL, model=cast(StemModelName, name))
    client.create_split(URL, output_format=cast(OutputFormat, name), extra_body={"new": 1})
    client.list_splits(status=cast(SplitStatus, name))


def results(client: AiStemSplitter) -> None:
    job = client.submit(URL)
    split = client.wait(job)
    assert_type(split, Split)
    assert_type(client.get(split), Split)
    assert_type(client.download(job, "stems"), dict[str, Path])
    assert_type(split.to_json(), str)
    page = client.list_splits(status="succeeded")
    assert_type(page, SplitPage)
    assert_type([each.id for each in page], list[str])
    assert_type(page.has_next_page(), bool)
    client.list_splits(created_after=datetime.now(UTC), model="4s", metadata={"order": "1"})
    assert_type([each.upload_id for each in client.list_uploads()], list[str])
    assert_type(client.list_uploads().next_page(), UploadPage | None)
    assert_type(client.get_upload("upl_1"), UploadInfo)
    assert_type(client.get_usage(start=date(2026, 5, 1)), Usage)
    assert_type([each.url for each in client.list_webhook_endpoints()], list[str])
    assert_type([each.data.stems for each in client.list_events()], list[StemUrls])
    assert_type(client.list_models(), tuple[Model, ...])
    assert_type(client.presign_upload("song.wav"), Upload)


def raw(client: AiStemSplitter) -> None:
    calls = client.with_raw_response
    assert_type(calls.create_split(URL, model="htdemucs"), RawResponse[SplitJob])
    assert_type(calls.get("split_1").data, Split)
    assert_type(calls.list_splits(limit=3), RawResponse[SplitPage])
    assert_type(calls.download("split_1", "stems", stems=["vocals"]).data, dict[str, Path])


def subclasses() -> None:
    with Mine() as client:
        assert_type(client, Mine)
        assert_type(client.with_options(api_key="ast_test_other"), Mine)


async def twin(client: AsyncAiStemSplitter) -> None:
    assert_type(await client.submit(audio_url=URL, model="4s"), SplitJob)
    assert_type(await client.download("split_1", "stems"), dict[str, Path])
    assert_type(client.list_splits(), AsyncSplits)
    assert_type(await client.list_splits(), AsyncSplitPage)
    async for upload in client.list_uploads():
        assert_type(upload, UploadInfo)
    async for event in client.list_events():
        assert_type(event, WebhookEvent)
    async for split in client.list_splits():
        assert_type(split, Split)
    assert_type(await client.with_raw_response.list_splits(limit=3), RawResponse[AsyncSplitPage])
