"""Calls that are cancelled at any moment leave no connection, task or file behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aistemsplitter import AiStemSplitter, AsyncAiStemSplitter, DownloadFailed
from clients import KEY
from loopback import Loopback

URL = "https://example.com/song.mp3"


def _descriptors() -> list[str]:
    return [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]  # noqa: PTH208


class Counted:
    """Cancel a scope when the driver begins its n-th await."""

    def __init__(self, scope: anyio.CancelScope, at: int) -> None:
        self._scope, self._left = scope, at
        self.reached = False

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.reached = True
            self._scope.cancel()


def cancel_at_every_await(
    backend: str,
    loopback: Loopback,
    operate: Callable[[AsyncAiStemSplitter], Any],
    clean: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> int:
    """Cancel the operation at each of its awaits in turn; return the number of awaits."""
    from aistemsplitter import _http

    step: Callable[[], None] = lambda: None  # noqa: E731
    original = _http.AsyncDriver._carry_out

    async def counted(driver: Any, effect: Any, streams: Any) -> Any:
        step()  # the effect then raises the cancellation at its own first await
        return await original(driver, effect, streams)

    monkeypatch.setattr(_http.AsyncDriver, "_carry_out", counted)

    async def main(at: int) -> bool:
        nonlocal step
        async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
            with anyio.CancelScope() as scope:
                counter = step = Counted(scope, at)
                await operate(client)
            step = lambda: None  # noqa: E731
            clean()
            if backend == "asyncio":
                assert len(asyncio.all_tasks()) == 1, "a task is left"
            if counter.reached:
                assert (await client.get_credits()).unit == "seconds"  # the client still works
            return counter.reached

    opened = len(_descriptors())
    at = 1
    while anyio.run(main, at, backend=backend):
        at += 1
    gc.collect()
    for _ in range(200):  # the server's threads notice the end of a connection slightly later
        if len(_descriptors()) <= opened:
            break
        time.sleep(0.01)
    assert len(_descriptors()) <= opened
    return at - 1


def test_download(
    backend: str,
    split_id: str,
    loopback: Loopback,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def clean() -> None:
        """Check that only files for the next download to resume are left."""
        parts = list(tmp_path.glob(".*.part"))
        assert len(parts) <= 2
        assert all(part.stat().st_size > 0 for part in parts)
        with AiStemSplitter(KEY, base_url=loopback.url) as client:
            client.download(split_id, tmp_path, stems=["bass", "vocals"])
        for path in tmp_path.iterdir():
            assert path.suffix == ".wav", "a temporary file is left"
            path.unlink()

    awaits = cancel_at_every_await(
        backend,
        loopback,
        lambda client: client.download(split_id, tmp_path, stems=["bass", "vocals"], parallel=2),
        clean,
        monkeypatch,
    )
    assert awaits > 15


def test_submit_an_upload_and_wait(
    backend: str, loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.service._streams = True
    loopback.service.balance = 10**9
    song = tmp_path / "song.mp3"
    song.write_bytes(b"x" * 600_000)

    async def operate(client: AsyncAiStemSplitter) -> None:
        job = await client.submit(song)
        await client.wait(job.id)

    awaits = cancel_at_every_await(backend, loopback, operate, lambda: None, monkeypatch)
    assert awaits > 6


@pytest.mark.parametrize("path", ["credits", "events", "^/storage/"])
def test_cancelled_while_the_connection_is_silent(
    backend: str, split_id: str, loopback: Loopback, tmp_path: Path, path: str
) -> None:
    loopback.service._streams = True
    loopback.fault("stall", path, at=10, times=99)

    async def main() -> None:
        async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
            job = await client.submit(audio_url=URL)
            with anyio.move_on_after(0.1) as scope:
                if path == "credits":
                    await client.get_credits()
                elif path == "events":
                    await client.wait(job.id)
                else:
                    await client.download(split_id, tmp_path)
            assert scope.cancelled_caught

    anyio.run(main, backend=backend)
    assert not list(tmp_path.glob("*.wav"))


def test_an_error_in_the_callback_is_raised_and_leaves_no_file(
    backend: str, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    def fail(_: object) -> None:
        raise KeyError("mine")

    async def main() -> None:
        async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
            await client.download(split_id, tmp_path, on_progress=fail)

    with pytest.raises(KeyError, match="mine"):
        anyio.run(main, backend=backend)
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        with pytest.raises(KeyError):
            client.download(split_id, tmp_path, on_progress=fail)
        client.download(split_id, tmp_path)
    assert not list(tmp_path.glob(".*.part"))


def test_threads_of_a_download_end_with_it(
    split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    before = {thread.name for thread in threading.enumerate() if "ThreadPool" in thread.name}
    loopback.fault("reset", "/bass", times=99)
    with AiStemSplitter(KEY, base_url=loopback.url) as client, pytest.raises(DownloadFailed):
        client.download(split_id, tmp_path)
    after = {thread.name for thread in threading.enumerate() if "ThreadPool" in thread.name}
    assert after == before


def test_many_waits_at_once(backend: str, loopback: Loopback) -> None:
    loopback.service._streams = True

    async def main() -> None:
        async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:

            async def one() -> None:
                job = await client.submit(audio_url=URL)
                assert (await client.wait(job.id)).succeeded

            async with anyio.create_task_group() as group:
                for _ in range(40):
                    group.start_soon(one)

    anyio.run(main, backend=backend)


def test_no_thread_outlives_a_cancel_by_asyncio(loopback: Loopback) -> None:
    """Task.cancel() ignores anyio's shield, here while a thread reads the upload."""
    state = "not begun"

    def slow() -> Iterator[bytes]:
        nonlocal state
        state = "running"
        time.sleep(0.2)
        state = "over"
        yield b"audio"

    async def main() -> None:
        async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
            task = asyncio.create_task(client.submit(slow()))
            while state == "not begun":
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert state == "over"

    asyncio.run(main())
