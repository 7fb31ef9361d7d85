"""Waiting by polling and by the progress stream, with failures of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aistemsplitter import (
    InputError,
    NotFound,
    SplitFailed,
    Unauthorized,
    UnexpectedResponse,
    WaitTimeout,
    _core,
    _wait,
)
from aistemsplitter.testing import Reply
from clients import Runner
from loopback import Loopback

URL = "https://example.com/song.mp3"
STREAM = {"content-type": "text/event-stream; charset=utf-8"}


@pytest.fixture(params=[True, False], ids=["stream", "polling"])
def streams(request: pytest.FixtureRequest, loopback: Loopback) -> Any:
    loopback.service._streams = request.param
    return request.param


def paths(loopback: Loopback) -> list[str]:
    return [path.rpartition("/")[2] for method, path, _ in loopback.seen if method == "GET"]


def test_waiting_until_the_split_succeeds(client: Any, loopback: Loopback, streams: bool) -> None:
    job = client.submit(audio_url=URL)
    updates: list[Any] = []
    split = client.wait_for_split(job.id, on_progress=updates.append)
    assert split.succeeded
    assert len(split.stems) == 4
    assert [(each.status, each.progress) for each in updates] == [
        ("queued", 0.0), ("processing", 0.5), ("succeeded", 1.0)]  # fmt: skip
    # With a stream, the split is only requested before and after it. Without one, the stream is
    # requested once.
    assert paths(loopback).count("events") == 1
    assert paths(loopback).count(job.id) == (2 if streams else 3)


@pytest.mark.usefixtures("streams")
def test_failed(client: Any, loopback: Loopback) -> None:
    loopback.service.fail_split("INPUT_UNREACHABLE", "the address does not answer")
    job = client.submit(audio_url=URL)
    with pytest.raises(SplitFailed, match="does not answer") as caught:
        client.wait(job.id)
    assert caught.value.code == "INPUT_UNREACHABLE"
    assert caught.value.split.id == job.id
    assert loopback.service.balance == 36_000


@pytest.mark.usefixtures("streams")
def test_temporary_errors_do_not_end_the_wait(kind: str, loopback: Loopback) -> None:
    client = Runner(kind, base_url=loopback.url, max_retries=0)
    job = client.submit(audio_url=URL)
    for _ in range(3):
        loopback.fault("reset", job.id)
        loopback.fault("cut", job.id, at=10)
        loopback.service.fail_next(503, path="/v1/audio/splits/")
        loopback.service.fail_next(429, path="/v1/audio/splits/", retry_after=0)
    assert client.wait(job.id, timeout=20).succeeded


@pytest.mark.usefixtures("streams")
def test_timeout_error_names_the_next_step(client: Any, loopback: Loopback) -> None:
    loopback.service._states = [("queued", 0.0)] * 1000
    job = client.submit(audio_url=URL)
    loopback.service.answer_next(Reply(404), path=f"/v1/audio/splits/{job.id}/events")
    with pytest.raises(WaitTimeout, match="It continues on the service: wait again") as caught:
        client.wait(job.id, timeout=0.3)
    assert caught.value.split_id == job.id
    assert isinstance(caught.value, TimeoutError)


def test_a_server_that_stays_down(client: Any, loopback: Loopback) -> None:
    job = client.submit(audio_url=URL)
    loopback.fault("reset", job.id, times=10_000)
    with pytest.raises(WaitTimeout, match="last error: no answer from 127"):
        client.wait(job.id, timeout=0.3)


def test_a_stalled_stream_does_not_outlast_the_deadline(client: Any, loopback: Loopback) -> None:
    loopback.service._streams = True
    loopback.service._states = [("queued", 0.0)] * 50
    job = client.submit(audio_url=URL)
    loopback.fault("stall", "events", at=300)
    with pytest.raises(WaitTimeout):
        client.wait(job.id, timeout=0.3)


def test_permanent_errors_end_the_wait(client: Any, loopback: Loopback) -> None:
    with pytest.raises(NotFound):
        client.wait("split_none")
    job = client.submit(audio_url=URL)
    loopback.service.fail_next(401, path="/v1/audio/splits/")
    with pytest.raises(Unauthorized):
        client.wait(job.id)
    loopback.service.answer_next(Reply(200, {}, b"<html>"), path="/v1/audio/splits/")
    with pytest.raises(UnexpectedResponse):
        client.wait(job.id)
    with pytest.raises(InputError):
        client.wait(job.id, timeout=0)


def test_a_dropped_stream_is_resumed(client: Any, loopback: Loopback) -> None:
    job = client.submit(audio_url=URL)
    first = b'id: 41\ndata: {"status": "processing", "progress": 0.2}\n\ndata: {"half'
    loopback.service.answer_next(Reply(200, STREAM, first), path=f"/v1/audio/splits/{job.id}/e")
    updates: list[Any] = []
    loopback.service._streams = True
    client.wait(job.id, on_progress=updates.append)
    asked = [headers for _, path, headers in loopback.seen if path.endswith("/events")]
    assert [headers.get("last-event-id") for headers in asked] == [None, "41"]
    assert 0.2 in [each.progress for each in updates]


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe\n\n", b"data: 7\n\n", b'data: {"id": "another", "status": "succeeded"}\n\n',
     b"data: " + b"x" * 3_000_000, b'data: {"status": 7}\n\n'],
)  # fmt: skip
def test_invalid_events_in_the_stream(client: Any, loopback: Loopback, body: bytes) -> None:
    job = client.submit(audio_url=URL)
    loopback.service.answer_next(
        Reply(200, STREAM, body), path=f"/v1/audio/splits/{job.id}/events", times=99
    )
    assert client.wait(job.id, timeout=20).succeeded


def test_unknown_states_are_not_final(client: Any, loopback: Loopback) -> None:
    loopback.service._states = [("queued", 0.0), ("polishing", 0.9)]
    assert client.wait(client.submit(audio_url=URL).id).succeeded


def test_a_stream_that_is_ahead_of_the_api_does_not_cause_a_busy_loop(
    client: Any, loopback: Loopback
) -> None:
    loopback.service._states = [("queued", 0.0)] * 4
    job = client.submit(audio_url=URL)
    early = Reply(200, STREAM, b'data: {"status": "succeeded"}\n\n')
    loopback.service.answer_next(early, path=f"/v1/audio/splits/{job.id}/events", times=99)
    assert client.wait(job.id, timeout=20).succeeded
    assert paths(loopback).count("events") <= paths(loopback).count(job.id) / 2 + 1


@pytest.fixture
def _short_stream_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wait, "FIRST_BYTES", 0.1)
    monkeypatch.setattr(_wait, "QUIET", 0.1)


@pytest.mark.usefixtures("_short_stream_timeouts")
@pytest.mark.parametrize(("fault", "at"), [("hold", 0), ("stall", 0), ("stall", 300)])
def test_a_silent_stream_falls_back_to_polling(
    client: Any, loopback: Loopback, fault: str, at: int
) -> None:
    """As behind a proxy that buffers the stream from the start, or after the first event."""
    loopback.service._streams = True
    job = client.submit(audio_url=URL)
    loopback.fault(fault, "events", at=at, times=99)
    assert client.wait(job.id, timeout=20).succeeded
    assert paths(loopback).count(job.id) <= 3


def test_a_stream_that_has_begun_gets_a_longer_timeout(
    client: Any, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wait, "FIRST_BYTES", 0.1)
    loopback.service._streams = True
    job = client.submit(audio_url=URL)
    loopback.fault("stall", "events", at=300, times=99)
    with pytest.raises(WaitTimeout):
        client.wait(job.id, timeout=1)
    assert paths(loopback).count("events") == 1


def test_comments_show_that_a_stream_works(
    client: Any, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a split is queued, the service sends nothing else."""
    monkeypatch.setattr(_wait, "QUIET", 0.3)
    loopback.service._streams = True
    job = client.submit(audio_url=URL)

    def begin_with_comment(reply: Reply) -> Reply:
        return replace(reply, body=b": still there\n\n" + reply.body)

    loopback.fault("drip_body", "events", at=15, change=begin_with_comment)
    assert client.wait(job.id, timeout=20).succeeded
    assert paths(loopback).count("events") == 1
    assert paths(loopback).count(job.id) == 2


@pytest.mark.usefixtures("_short_stream_timeouts")
def test_silent_streams_are_abandoned_after_some_attempts(client: Any, loopback: Loopback) -> None:
    loopback.service._streams = True
    loopback.service._states = [("queued", 0.0)] * 12
    job = client.submit(audio_url=URL)
    loopback.fault("hold", "events", times=99)
    assert client.wait(job.id, timeout=20).succeeded
    assert paths(loopback).count("events") == _wait.STREAM_TRIES


def test_retry_after_is_capped(
    client: Any, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_core, "LONGEST_RETRY_AFTER", 0.01)
    monkeypatch.setattr(_wait, "LONGEST_RETRY_AFTER", 0.01)
    job = client.submit(audio_url=URL)
    loopback.service.fail_next(503, path=f"/v1/audio/splits/{job.id}", retry_after=1e5, times=9)
    assert client.wait(job.id, timeout=20).succeeded
