"""The process that separates, as the worker sees it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from aistemsplitter_server.worker.engine import Engine, Failed, Stopped
from aistemsplitter_server.worker.separating import Task
from processes import SONG


@pytest.fixture
def engine() -> Iterator[Engine]:
    """One that counts as hung after a while; loading the small model takes less."""
    engine = Engine(silence=60)
    engine.start()
    yield engine
    engine.kill()


def task(folder: Path, song: Path = SONG, seconds: int | None = None) -> Task:
    return Task(str(song), song.name, str(folder), "htdemucs_tiny", ["vocals"], "wav", seconds)


def nothing(_fraction: float) -> None:
    pass


def never() -> bool:
    return False


def test_separated_twice(engine: Engine, tmp_path: Path) -> None:
    seen: list[float] = []
    first = engine.separate(task(tmp_path / "a"), seen.append, never)
    assert list(first.files) == ["vocals"]
    assert (first.seconds, first.sample_rate) == (20.0, 44100)
    assert seen == sorted(seen)
    second = engine.separate(task(tmp_path / "b"), nothing, never)
    assert first.files["vocals"].read_bytes() == second.files["vocals"].read_bytes()


def test_the_beginning_alone(engine: Engine, tmp_path: Path) -> None:
    assert engine.separate(task(tmp_path, seconds=3), nothing, never).seconds == 3.0


def test_stopped(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        engine.separate(task(tmp_path / "a"), nothing, lambda: True)
    assert engine.separate(task(tmp_path / "b"), nothing, never).files  # and ready for the next


def test_no_audio(engine: Engine, tmp_path: Path) -> None:
    text = tmp_path / "upl_1"
    text.write_text("hello")
    with pytest.raises(Failed) as caught:
        engine.separate(Task(str(text), "my.wav", str(tmp_path), *_rest()), nothing, never)
    assert caught.value.code == "UNSUPPORTED_MEDIA"
    assert str(caught.value).startswith("my.wav: ")


def test_a_model_without_weights(engine: Engine, tmp_path: Path) -> None:
    missing = Task(str(SONG), "song", str(tmp_path), "htdemucs_6s", ["piano"], "wav", None)
    with pytest.raises(Failed) as caught:
        engine.separate(missing, nothing, never)
    assert caught.value.code == "MODEL_UNAVAILABLE"


def test_it_dies(engine: Engine, tmp_path: Path) -> None:
    assert engine._process is not None
    engine._process.kill()
    with pytest.raises(Failed, match="died") as caught:
        engine.separate(task(tmp_path), nothing, never)
    assert caught.value.code == "INTERNAL"
    assert engine.separate(task(tmp_path), nothing, never).files  # by another


def test_it_hangs(tmp_path: Path) -> None:
    engine = Engine(silence=1)
    engine.start()
    assert engine._process is not None
    engine._process.send_signal(signal.SIGSTOP)
    with pytest.raises(Failed, match="hung: 1 s without progress"):
        engine.separate(task(tmp_path), nothing, never)
    assert engine._process is None


def _rest() -> tuple[str, list[str], str, None]:
    return "htdemucs_tiny", ["vocals"], "wav", None
