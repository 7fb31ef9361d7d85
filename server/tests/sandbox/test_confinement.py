"""A hostile file that takes over a decoding process can do nothing."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.measuring import MeasuringFailed, measure
from aistemsplitter_server.sandbox import landlock
from aistemsplitter_server.sandbox.decoder import Decoder
from aistemsplitter_server.sandbox.engine_confinement import machine_memory
from aistemsplitter_server.worker import cutting, listening
from aistemsplitter_server.worker.engine import Engine, Failed
from aistemsplitter_server.worker.separating import Task
from hostile import write
from processes import SONG

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")

Hostile = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "service.db").write_bytes(b"all accounts")
    return data


@pytest.fixture
def hostile(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    """Let the next child import a hostile engine, with services that it could connect to."""
    Decoder.dismiss()
    monkeypatch.setenv("AISTEMSPLITTER_OTHER_SECRET", "hush")
    abstract = f"aistemsplitter-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0" + abstract)
        unix.listen()

        def prepare(*, threads: bool, memory: int) -> Path:
            folder = write(
                tmp_path,
                database=data / "service.db",
                port=listener.getsockname()[1],
                abstract=abstract,
                threads=threads,
                memory=memory,
            )
            monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
            return folder

        yield prepare
    if landlock.version():
        assert (data / "service.db").read_bytes() == b"all accounts"
        assert not (tmp_path / "outside").exists()


def test_the_measuring_process(hostile: Hostile, data: Path) -> None:
    hostile(threads=False, memory=3 << 30)
    with pytest.raises(MeasuringFailed) as caught:
        measure(SONG, "song.flac", Settings(data=data))
    assert caught.value.message == "it could: nothing"


def test_the_process_of_listening_copies(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile(threads=False, memory=3 << 30)
    monkeypatch.setattr(listening, "_check", lambda *_: None)
    worker: Any = SimpleNamespace(stopping=threading.Event())
    with SONG.open("rb") as stem, (tmp_path / "index").open("wb") as index:
        task = cutting.Task({}, index.fileno(), {"vocals": stem.fileno()}, None, 1.0, [], 20.0)
        with pytest.raises(RuntimeError) as caught:
            listening._cut(worker, "spl_1", task)
    assert str(caught.value) == "it could: nothing"


def test_the_engine(hostile: Hostile, data: Path) -> None:
    """It decodes nothing, but is confined too."""
    hostile(threads=True, memory=machine_memory() + (1 << 30))
    engine = Engine(silence=60, work=data / "work", decode_seconds=60)
    task = Task(
        str(SONG), "song", str(data / "work" / "s"), "htdemucs_tiny", ["vocals"], "wav", None, 20.0
    )
    try:
        with pytest.raises(Failed) as caught:
            engine.separate(task, lambda _: None, lambda: False)
    finally:
        engine.kill()
    could = set(str(caught.value).removeprefix("it could: ").split(", "))
    if landlock.version() < 6:  # refused by Landlock alone, with its minimum version
        could -= {*FILES}
    assert could <= {"nothing"}


FILES = (
    *("read_database", "list_data", "read_secret_of_parent", "write_outside"),
    *("truncate_outside", "rename_outside", "delete_outside"),
)
