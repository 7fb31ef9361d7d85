"""Uploads over a real socket: sources, retries, and files that change."""

from __future__ import annotations

import hashlib
import io
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.datastructures import UploadFile

from aistemsplitter import (
    FileChanged,
    FileError,
    IdempotencyMismatch,
    InputError,
    PayloadTooLarge,
    ServerError,
    TransferProgress,
    UploadFailed,
)
from aistemsplitter._source import CHUNK, open_source
from aistemsplitter.testing import Reply
from clients import KEY
from loopback import Loopback

SONG = os.urandom(3 * CHUNK + 17)
STORAGE = "^/storage/"


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "my song.mp3"
    path.write_bytes(SONG)
    return path


def stored(loopback: Loopback) -> list[bytes]:
    uploads = list(loopback.service._uploads)
    return [data for each in uploads if (data := loopback.service.uploaded(each)) is not None]


class Pipe(io.RawIOBase):
    """A file that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)


def pieces() -> Iterator[bytes]:
    for start in range(0, len(SONG), 1000):
        yield SONG[start : start + 1000]


def test_path_and_text(client: Any, loopback: Loopback, song: Path) -> None:
    job = client.create_split(song)
    assert client.get_split(job.id).filename == "my song.mp3"
    client.create_split(str(song))
    assert stored(loopback) == [SONG, SONG]
    _, path, headers = loopback.seen[1]
    assert path.startswith("/storage/")
    assert headers["content-type"] == "audio/mpeg"
    assert headers["content-length"] == str(len(SONG))
    assert "transfer-encoding" not in headers


def test_no_key_goes_to_the_storage(client: Any, loopback: Loopback, song: Path) -> None:
    client.create_split(song)
    for _, path, headers in loopback.seen:
        assert (KEY in str(headers)) == (not path.startswith("/storage/"))


@pytest.mark.parametrize(
    "what",
    ["bytes", "bytearray", "memoryview", "file", "bytesio", "middle", "pipe", "pieces", "wrapped"],
)
def test_every_source(client: Any, loopback: Loopback, song: Path, what: str) -> None:
    loopback.fault("reset", STORAGE)  # so that each has to be read twice
    expected = SONG
    if what == "file":
        with song.open("rb") as file:
            client.create_split(file)
            assert not file.closed
    else:
        middle = io.BytesIO(SONG)
        middle.seek(100)
        if what == "middle":
            expected = SONG[100:]
        sources = {
            "bytes": SONG,
            "bytearray": bytearray(SONG),
            "memoryview": memoryview(SONG),
            "wrapped": UploadFile(io.BytesIO(SONG), filename="song.mp3"),
            "bytesio": io.BytesIO(SONG),
            "middle": middle,
            "pipe": Pipe(SONG),
            "pieces": pieces(),
        }
        client.create_split(sources[what], filename="a.flac")
    assert stored(loopback) == [expected]


class AsyncPipe:
    """An async file with the interface of anyio and aiofiles."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)
        self.name = "folder/piped.mp3"

    async def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)


async def async_pieces() -> AsyncIterator[bytes]:
    for piece in pieces():
        await anyio.lowlevel.checkpoint()
        yield piece


@pytest.mark.parametrize("what", ["pipe", "pieces"])
def test_async_sources(kind: str, client: Any, loopback: Loopback, what: str) -> None:
    loopback.fault("reset", STORAGE)  # so that each has to be read twice
    source = AsyncPipe(SONG) if what == "pipe" else async_pieces()
    if kind == "sync":
        with pytest.raises(InputError, match="input= is asynchronous: use AsyncAiStemSplitter"):
            client.create_split(source)
        return
    job = client.create_split(source)
    assert stored(loopback) == [SONG]
    assert client.get_split(job.id).filename == ("piped.mp3" if what == "pipe" else "audio")


def test_names_of_uploads_of_web_frameworks(client: Any) -> None:
    upload = UploadFile(io.BytesIO(SONG), filename="../my song.mp3")
    assert client.get_split(client.create_split(upload).id).filename == "my song.mp3"


def test_async_callbacks(kind: str, client: Any, loopback: Loopback, tmp_path: Path) -> None:
    seen: list[TransferProgress] = []
    at_once = 0

    async def note(progress: TransferProgress) -> None:
        nonlocal at_once
        at_once += 1
        assert at_once == 1
        await anyio.sleep(0)
        at_once -= 1
        seen.append(progress)

    if kind == "sync":
        with pytest.raises(InputError, match="on_progress= is asynchronous: use Async"):
            client.create_split(SONG, on_progress=note)
        job = client.create_split(SONG)
        for call in (client.wait, lambda job, **more: client.download(job, tmp_path, **more)):
            loopback.service.finish(job.id)
            with pytest.raises(InputError, match="on_progress= is asynchronous"):
                call(job.id, on_progress=note)
        return
    job = client.create_split(SONG, on_progress=note)
    assert seen[-1].bytes_done == len(SONG)
    states: list[str] = []

    async def note_state(split: Any) -> None:
        states.append(split.status)

    client.wait(job.id, on_progress=note_state)
    assert states[-1] == "succeeded"
    seen.clear()
    client.download(job.id, tmp_path, on_progress=note)
    assert {each.name for each in seen} == {"drums", "bass", "other", "vocals"}


def test_progress(client: Any, song: Path) -> None:
    updates: list[TransferProgress] = []
    client.create_split(song, on_progress=updates.append)
    assert [each.bytes_done for each in updates] == [CHUNK, 2 * CHUNK, 3 * CHUNK, len(SONG)]
    assert {(each.name, each.bytes_total) for each in updates} == {("my song.mp3", len(SONG))}


def test_a_lost_response_does_not_upload_twice(client: Any, loopback: Loopback, song: Path) -> None:
    loopback.fault("reset_after", STORAGE)
    client.create_split(song)
    assert stored(loopback) == [SONG]


def test_server_errors_are_retried(client: Any, loopback: Loopback, song: Path) -> None:
    loopback.service.fail_next(503, path="/storage/", times=2)
    client.create_split(song)
    assert stored(loopback) == [SONG]


def test_the_same_key_and_file_give_the_same_split(
    client: Any, loopback: Loopback, song: Path
) -> None:
    once = {"idempotency_key": "order-7", "filename": "song.mp3"}
    loopback.service.fail_next(500, path="/v1/audio/splits", times=99)
    with pytest.raises(ServerError):
        client.create_split(song, **once)  # as if the process had crashed here
    loopback.service._faults.clear()
    first = client.create_split(song, **once)
    loopback.service.expire_urls()
    assert client.create_split(SONG, **once).id == first.id
    puts = [path for method, path, _ in loopback.seen if method == "PUT"]
    assert len(puts) == 1
    with pytest.raises(IdempotencyMismatch):
        client.create_split(SONG[::-1], **once)
    assert client.create_split(song).id != first.id
    assert loopback.service.balance == 36_000 - 2 * 180


def test_an_expired_reservation_is_replaced(client: Any, loopback: Loopback, song: Path) -> None:
    loopback.service.fail_next(403, path="/storage/")
    client.create_split(song, idempotency_key="order-7")
    assert stored(loopback) == [SONG]


def test_an_expired_url_is_renewed_once(client: Any, loopback: Loopback, song: Path) -> None:
    loopback.service.fail_next(403, path="/storage/")
    client.create_split(song)
    loopback.service.fail_next(403, path="/storage/", times=2)
    with pytest.raises(UploadFailed, match=r"my song\.mp3"):
        client.create_split(song)


def test_a_rejected_upload_creates_no_split(client: Any, loopback: Loopback, song: Path) -> None:
    loopback.service.fail_next(400, path="/storage/")
    with pytest.raises(UploadFailed):
        client.create_split(song)
    loopback.service.fail_next(413, path="/v1/audio/uploads")
    with pytest.raises(PayloadTooLarge):
        client.create_split(song)
    assert loopback.service.balance == 36_000


@pytest.mark.parametrize("how", ["longer", "shorter", "other"])
def test_a_file_that_changes_is_noticed(
    client: Any, loopback: Loopback, song: Path, how: str
) -> None:
    def change(progress: TransferProgress) -> None:
        if progress.bytes_done > CHUNK:
            return
        if how == "shorter":
            os.truncate(song, CHUNK)
        else:
            with song.open("r+b") as file:
                file.seek(0, os.SEEK_END if how == "longer" else os.SEEK_SET)
                file.write(b"changed")
            os.utime(song, ns=(1, 1))  # a coarse file clock must not affect the test

    with pytest.raises(FileChanged, match=r"my song\.mp3"):
        client.create_split(song, on_progress=change)
    assert stored(loopback) == []
    assert loopback.service.balance == 36_000


def test_unreadable_inputs(client: Any, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        client.create_split(tmp_path / "missing.mp3")
    with pytest.raises(FileError, match="a directory"):
        client.create_split(tmp_path)
    with pytest.raises(FileError, match="null"):
        client.create_split("a\0b")
    with pytest.raises(InputError, match="is empty"):
        client.create_split(b"", filename="a.wav")
    with pytest.raises(InputError, match="rb"):
        client.create_split(io.StringIO("text"))
    with pytest.raises(InputError, match="yields str instead of bytes"):
        client.create_split(iter(["text"]))
    with pytest.raises(InputError, match="input= has the type int: pass a path, bytes"):
        client.create_split(7)


def test_opening_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with ExitStack() as closing, pytest.raises(FileError, match="not a regular file"):
        open_source(tmp_path / "fifo", None, closing)


def test_large_files_are_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    with ExitStack() as closing:
        opened = open_source(path, None, closing)
        tracemalloc.start()
        try:
            assert sum(len(chunk) for chunk in opened.chunks(0, opened.length)) == opened.length
            assert tracemalloc.get_traced_memory()[1] < 4 * CHUNK
        finally:
            tracemalloc.stop()


def test_a_reservation_for_another_http_client(client: Any, loopback: Loopback) -> None:
    upload = client.create_upload("a.flac", content_length=5)
    assert upload.upload_id.startswith("upl_")
    assert upload.direct.method == "PUT"
    assert upload.audio_url
    assert upload.input == {"type": "uploaded_file", "uploadId": upload.upload_id}
    assert loopback.last_json()["contentType"] == "audio/flac"


def test_uploads_go_to_the_storage_where_the_service_offers_it(
    client: Any, loopback: Loopback, song: Path
) -> None:
    client.create_split(song)
    client.create_split(song, idempotency_key="order 7")
    first, second = (head for _, path, head in loopback.seen if path == "/v1/audio/uploads")
    assert (first["direct-upload"], second["direct-upload"]) == ("true", "true")
    assert "upload-sha256" not in first
    assert second["upload-sha256"] == hashlib.sha256(SONG).hexdigest()
    client.create_upload("a.flac", content_length=5)
    assert "direct-upload" not in loopback.seen[-1][2], "the caller may send it another way"


def test_a_storage_that_has_the_file(client: Any, loopback: Loopback, song: Path) -> None:
    """Presigned URLs of buckets store a file once."""
    loopback.fault("change", STORAGE, change=lambda _: Reply(412))
    client.create_split(song)
    assert len(loopback.storage_requests()) == 1
