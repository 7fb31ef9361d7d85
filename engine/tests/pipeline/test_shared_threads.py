"""Threads and tasks that songs share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine.audio import FloatArray, StemWriter
from aistemsplitter_engine.pipeline import shared_threads as module
from aistemsplitter_engine.pipeline.shared_threads import Task, shared_threads
from fakes import threads
from stem_files import separator, song, tree


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use one thread, as on a machine with one processor."""
    monkeypatch.setattr(module, "cpu_count", lambda: 1)


def until(ready: Callable[[], bool], name: str, log: list[str]) -> Generator[bool, None, str]:
    while not ready():
        yield False
    for _ in range(40):
        log.append(name)
        yield True
    return name


def test_a_task_that_waits_occupies_no_thread() -> None:
    log: list[str] = []
    may_start: Future[None] = Future()
    with shared_threads() as pool:
        early = Task(pool, until(may_start.done, "early", log))
        late = Task(pool, until(lambda: True, "late", log))
        assert late.result.result(60) == "late"
        may_start.set_result(None)
        early.wake()
        assert early.result.result(60) == "early"
        early.wake()  # after its end, this does nothing
    assert log == ["late"] * 40 + ["early"] * 40


def test_tasks_take_turns() -> None:
    log: list[str] = []
    begin = threading.Event()
    with shared_threads() as pool:
        pool.submit(begin.wait)
        tasks = [Task(pool, until(lambda: True, name, log)) for name in "ab"]
        begin.set()
        assert [task.result.result(60) for task in tasks] == ["a", "b"]
    turns = [name for name, before in zip(log, ["", *log], strict=False) if name != before]
    assert turns == ["a", "b"] * 3


def test_the_error_of_a_task_is_that_of_its_result() -> None:
    def broken() -> Generator[bool, None, None]:
        yield True
        raise OSError(28, "No space left on device")

    with shared_threads() as pool, pytest.raises(OSError, match="No space left"):
        Task(pool, broken()).result.result(60)


@pytest.mark.usefixtures("fakes")
def test_songs_share_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All stems are encoded on it, and it ends with the last song."""
    busy = threading.Lock()
    write = StemWriter.write

    def alone(self: StemWriter, block: FloatArray) -> None:
        assert busy.acquire(blocking=False)
        write(self, block)
        busy.release()

    monkeypatch.setattr(StemWriter, "write", alone)
    songs = [song(12), song(9), song(12, gain=9)]
    model = separator()
    folders = [tmp_path / str(number) for number in range(3)]
    outcomes = [*model.split_many(zip(songs, folders, strict=True), jobs=3)]
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert threads() == set()
    for number, one in enumerate(songs):
        model.split(one, tmp_path / "alone" / str(number))
        assert tree(tmp_path / "alone" / str(number)) == tree(folders[number])
    assert np.unique([outcome.result.gain < 1 for outcome in outcomes if outcome.result]).size == 2
