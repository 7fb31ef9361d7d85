"""The fake service as users use it: without a socket."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aistemsplitter import (
    AiStemSplitter,
    AsyncAiStemSplitter,
    Conflict,
    ConnectionFailed,
    InsufficientCredits,
    NotFound,
    RateLimited,
    SplitFailed,
    Unauthorized,
    verify_signature,
)
from aistemsplitter.testing import FakeService, Reply, Request, split_failed, split_succeeded

URL = "https://example.com/song.mp3"


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def client(service: FakeService) -> AiStemSplitter:
    return AiStemSplitter("ast_test_key", transport=service)


def test_a_split_from_submission_to_download(
    service: FakeService, client: AiStemSplitter, tmp_path: Path
) -> None:
    job = client.submit(b"RIFF", filename="my.wav", model="6s")
    result = client.wait(job.id)
    paths = client.download(result, tmp_path)
    assert len(paths) == 6
    assert paths["guitar"].read_bytes().startswith(b"RIFF")
    assert (result.filename, result.stem_model, result.served_by) == ("my.wav", "6s", "htdemucs_6s")
    assert service.balance == 36_000 - 180


def test_the_async_client(service: FakeService, tmp_path: Path, backend: str) -> None:
    async def main() -> None:
        async with AsyncAiStemSplitter("ast_test_key", transport=service) as client:
            job = await client.submit(b"RIFF")
            assert len(await client.download(await client.wait(job.id), tmp_path)) == 4

    anyio.run(main, backend=backend)


def test_states_advance_as_they_are_read(client: AiStemSplitter) -> None:
    job = client.submit(audio_url=URL)
    assert [client.get(job.id).status for _ in range(4)] == [
        "queued", "processing", "succeeded", "succeeded"]  # fmt: skip


def test_errors_on_demand(service: FakeService, client: AiStemSplitter) -> None:
    client = client.with_options(max_retries=0)
    service.fail_next(429, retry_after=7)
    with pytest.raises(RateLimited) as caught:
        client.get_credits()
    assert caught.value.retry_after == 7
    service.fail_next(402, requiredSeconds=500, balanceSeconds=100)
    with pytest.raises(InsufficientCredits, match="400 seconds missing"):
        client.submit(audio_url=URL)
    service.drop_next()
    with pytest.raises(ConnectionFailed):
        client.get_credits()
    service.answer_next(Reply(200, {}, b'{"success": true, "data": {"balance": 3}}'))
    assert client.get_credits().balance == 3
    service.fail_split("INPUT_TOO_LONG", "too long")
    with pytest.raises(SplitFailed, match="INPUT_TOO_LONG"):
        client.wait(client.submit(audio_url=URL).id)


def test_requests_are_recorded(service: FakeService, client: AiStemSplitter) -> None:
    client.get_credits()
    (request,) = service.requests
    assert isinstance(request, Request)
    assert request.url.endswith("/v1/credits")
    assert "ast_test_key" not in repr(request)


def test_another_key_is_rejected() -> None:
    service = FakeService(api_key="ast_test_right")
    AiStemSplitter("ast_test_right", transport=service).get_credits()
    with pytest.raises(Unauthorized):
        AiStemSplitter("ast_test_wrong", transport=service).get_credits()


def test_webhooks_of_its_splits(service: FakeService, client: AiStemSplitter) -> None:
    job = client.submit(audio_url=URL)
    with pytest.raises(ValueError, match="finish it first"):
        service.webhook(job.id)
    service.finish(job.id)
    delivery = service.webhook(job.id, secret="whsec_x")
    event = verify_signature(delivery.headers, delivery.body, "whsec_x")
    assert event.data.id == job.id
    assert client.get_event(event).id == event.id
    assert set(event.data.stems) == {"drums", "bass", "other", "vocals"}


def test_event_makers() -> None:
    for delivery, kind in (
        (split_succeeded(), "split.succeeded"),
        (split_failed(), "split.failed"),
    ):
        assert verify_signature(delivery.headers, delivery.body, "whsec_test").type == kind
    with pytest.raises(TypeError, match="colour"):
        split_succeeded(colour="red")


def test_beats_of_its_songs(service: FakeService, client: AiStemSplitter) -> None:
    job = client.submit(audio_url=URL)
    with pytest.raises(Conflict):
        client.get_beats(job)
    service.finish(job.id)
    analysis = client.get(job.id).analysis
    assert analysis is not None
    grid = client.with_raw_response.get_beats(job).data
    assert (grid.bpm, grid.beats_per_bar) == (analysis.bpm, analysis.beats_per_bar)
    assert grid.downbeats[:2] == (analysis.first_downbeat, 2.0)
    assert grid.beats[-1] == 179.5


def test_deleted_audio_cannot_be_downloaded(service: FakeService, client: AiStemSplitter) -> None:
    job = client.submit(audio_url=URL)
    service.finish(job.id)
    client.delete_split(job.id)
    with pytest.raises(NotFound):
        client.get(job.id)
