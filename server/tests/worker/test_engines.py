"""Several songs at the same time, each in a process of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from aistemsplitter_engine.resources import cpu_count
from aistemsplitter_server.worker.engine import Engine, Failed, Result, Stopped
from aistemsplitter_server.worker.engines import Engines, default_songs
from aistemsplitter_server.worker.separating import Task
from processes import PATIENCE, SONG

LONG = 300.0  # seconds without progress that are never reached


def made(work: Path, *silences: float) -> Engines:
    """Return engines with these limits of silence, all started; the first one is used first."""
    left = [*silences]
    engines = Engines(
        len(silences), lambda: Engine(silence=left.pop(0), work=work, decode_seconds=60)
    )
    assert engines.start() == len(silences)
    for engine in engines._all:
        engine.start()
    return engines


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    """Two engines."""
    engines = made(tmp_path, LONG, LONG)
    yield engines
    engines.kill()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


class Song:
    """A song that is separated in a thread."""

    def __init__(
        self, pool: ThreadPoolExecutor, engines: Engines, folder: Path, model: str = "htdemucs_tiny"
    ) -> None:
        self.progress: list[float] = []
        self.stop = threading.Event()
        self.began = threading.Event()
        self._may_go_on = threading.Event()
        task = Task(str(SONG), SONG.name, str(folder), model, ["vocals"], "wav", None, 20.0)
        self.result: Future[Result] = pool.submit(
            engines.separate, task, self.progress.append, self._should_stop
        )

    def _should_stop(self) -> bool:
        """Wait within the first call, so that the song is in progress until ``go_on``."""
        self.began.set()
        assert self._may_go_on.wait(PATIENCE)
        return self.stop.is_set()

    def go_on(self) -> None:
        self._may_go_on.set()


def begun(pool: ThreadPoolExecutor, engines: Engines, work: Path) -> tuple[Song, Song]:
    """Begin two songs, in the first and in the second engine, and wait until both have begun."""
    songs = []
    for name in ("first", "second"):
        songs.append(Song(pool, engines, work / name))
        assert songs[-1].began.wait(PATIENCE)
    return songs[0], songs[1]


def pids(engines: Engines) -> list[int]:
    """Return the ids of the processes, in the order in which they are first used."""
    processes = [engine._process for engine in reversed(engines._all)]
    assert all(processes)
    return [process.pid for process in processes if process is not None]


def signalled(engines: Engines, number: signal.Signals, *indices: int) -> None:
    """Send a signal to the processes with these indices in the order of first use."""
    for index in indices:
        process = engines._all[-1 - index]._process
        assert process is not None
        process.send_signal(number)


def test_two_songs_at_the_same_time(
    engines: Engines, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    songs = begun(pool, engines, tmp_path)
    third = Song(pool, engines, tmp_path / "third")  # waits for a free process
    for song in (*songs, third):
        song.go_on()
    stems = [song.result.result(PATIENCE).files["vocals"] for song in (*songs, third)]
    assert [stem.parent.name for stem in stems] == ["first", "second", "third"]
    assert len({stem.read_bytes() for stem in stems}) == 1
    for song in songs:
        assert song.progress == sorted(song.progress)
        assert song.progress[-1] <= 1


def test_stopping_a_song_does_not_stop_another(
    engines: Engines, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    signalled(engines, signal.SIGSTOP, 0, 1)  # so that neither song ends before it is stopped
    first, second = begun(pool, engines, tmp_path)
    first.stop.set()
    signalled(engines, signal.SIGCONT, 0, 1)
    first.go_on()
    second.go_on()
    with pytest.raises(Stopped):
        first.result.result(PATIENCE)
    assert second.result.result(PATIENCE).files


def test_a_process_that_dies_fails_its_song_only(
    engines: Engines, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """It may have been killed by the kernel for lack of memory."""
    before = pids(engines)
    signalled(engines, signal.SIGSTOP, 0, 1)
    first, second = begun(pool, engines, tmp_path)
    signalled(engines, signal.SIGKILL, 0)
    signalled(engines, signal.SIGCONT, 1)
    first.go_on()
    second.go_on()
    with pytest.raises(Failed, match="died") as caught:
        first.result.result(PATIENCE)
    assert caught.value.code == "INTERNAL"
    assert second.result.result(PATIENCE).files
    songs = begun(pool, engines, tmp_path)  # the first one resumes, in another process
    for song in songs:
        song.go_on()
    assert all(song.result.result(PATIENCE).files for song in songs)
    after = pids(engines)
    assert before[1] == after[1]
    assert before[0] != after[0]


def test_a_process_that_hangs_fails_its_song_only(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    engines = made(tmp_path, 1, LONG)
    try:
        signalled(engines, signal.SIGSTOP, 0)
        first, second = begun(pool, engines, tmp_path)
        first.go_on()
        second.go_on()
        with pytest.raises(Failed, match="hung: 1 s without progress"):
            first.result.result(PATIENCE)
        assert second.result.result(PATIENCE).files
    finally:
        engines.kill()


def test_all_processes_restart_if_a_model_is_missing(
    engines: Engines, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Its folder may exist since, but a process can read only those that existed at its start."""
    before = pids(engines)
    missing = Song(pool, engines, tmp_path / "missing", model="htdemucs")
    missing.go_on()
    with pytest.raises(Failed) as caught:
        missing.result.result(PATIENCE)
    assert caught.value.code == "MODEL_UNAVAILABLE"
    for song in (songs := begun(pool, engines, tmp_path)):
        song.go_on()
    assert all(song.result.result(PATIENCE).files for song in songs)
    assert not {*before} & {*pids(engines)}


def test_the_default_number_of_songs(tmp_path: Path) -> None:
    engine = Engine(silence=60, work=tmp_path, decode_seconds=60)
    engines = Engines(None, lambda: engine)
    try:
        assert engines.start() == default_songs(engine.device, cpu_count())
    finally:
        engines.kill()


@pytest.mark.parametrize(
    ("device", "cores", "songs"),
    [("cpu", 2, 1), ("cpu", 64, 1), ("cuda", 2, 1), ("cuda", 4, 2), ("mps", 8, 2)],
)
def test_default_songs(device: str, cores: int, songs: int) -> None:
    assert default_songs(device, cores) == songs
