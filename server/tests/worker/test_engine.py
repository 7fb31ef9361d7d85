"""The separating process as the worker sees it."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from aistemsplitter_engine.audio import AudioFile, Cover, StemWriter
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_server.sandbox import decoder
from aistemsplitter_server.sandbox.decoder import Decoder
from aistemsplitter_server.worker import engine as worker
from aistemsplitter_server.worker.engine import Engine, Failed, Stopped
from aistemsplitter_server.worker.separating import Task
from processes import SONG


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine that counts as hung after a few seconds; loading the small model is faster."""
    engine = Engine(silence=60, work=tmp_path, decode_seconds=60)
    engine.start()
    yield engine
    engine.kill()


def task(folder: Path, song: Path = SONG, seconds: int | None = None) -> Task:
    return Task(str(song), song.name, str(folder), *_rest()[:3], seconds, 20.0)


def nothing(_fraction: float) -> None:
    pass


def never() -> bool:
    return False


def test_two_separations_in_one_process(engine: Engine, tmp_path: Path) -> None:
    seen: list[float] = []
    first = engine.separate(task(tmp_path / "a"), seen.append, never)
    assert list(first.files) == ["vocals"]
    assert (first.seconds, first.sample_rate) == (20.0, 44100)
    assert seen == sorted(seen)
    second = engine.separate(task(tmp_path / "b"), nothing, never)
    assert first.files["vocals"].read_bytes() == second.files["vocals"].read_bytes()


def test_only_the_beginning(engine: Engine, tmp_path: Path) -> None:
    assert engine.separate(task(tmp_path, seconds=3), nothing, never).seconds == 3.0


def test_stopping_a_separation(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        engine.separate(task(tmp_path / "a"), nothing, lambda: True)
    assert engine.separate(task(tmp_path / "b"), nothing, never).files  # ready for the next song


def test_no_audio(engine: Engine, tmp_path: Path) -> None:
    text = tmp_path / "upl_1"
    text.write_text("hello")
    with pytest.raises(Failed) as caught:
        engine.separate(Task(str(text), "my.wav", str(tmp_path), *_rest()), nothing, never)
    assert caught.value.code == "UNSUPPORTED_MEDIA"
    assert str(caught.value).startswith("my.wav: ")


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIB", 13, b"IHDR", 1, 1, 8) + bytes(99)


def test_tags_and_cover_are_copied(engine: Engine, tmp_path: Path) -> None:
    """Although the process that writes the stems has not read the file."""
    tagged, cover = tmp_path / "tagged.flac", Cover("image/png", PNG)
    with StemWriter(
        tagged, OutputFormat("flac"), 44_100, 2, tags={"title": "Ünsre"}, cover=cover
    ) as writer:
        writer.write(np.full((2, 44_100), 0.1, np.float32))
    song = Task(
        str(tagged), "s", str(tmp_path / "a"), "htdemucs_tiny", ["vocals"], "flac", None, 1.0
    )
    stem = AudioFile(engine.separate(song, nothing, never).files["vocals"])
    assert stem.tags["title"] == "Ünsre"
    assert stem.cover == cover


def test_a_song_that_is_longer_than_its_charge(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"^mixture.flac: cannot be decoded") as caught:
        engine.separate(replace(task(tmp_path / "a"), duration=3.0), nothing, never)
    assert caught.value.code == "UNSUPPORTED_MEDIA"


DECODERS = {
    # The decoder's behaviour, and the code of the split's error.
    "crashes": ("ctypes.string_at(0)", "UNSUPPORTED_MEDIA"),
    "computes for ever": ("while True: pass", "UNSUPPORTED_MEDIA"),
    "takes too much memory": ("bytearray(3 << 30)", "UNSUPPORTED_MEDIA"),
    "sleeps": ("time.sleep(999)", "UNSUPPORTED_MEDIA"),
    "sends nonsense": ("[os.write(n, b'x' * 99) for n in range(3, 9)]", "UNSUPPORTED_MEDIA"),
    "is killed by the kernel": ("time.sleep(999)", "INTERNAL"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")
@pytest.mark.parametrize("what", DECODERS)
def test_a_decoder_fails(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is final if the file is to blame, and retried if we are."""
    body, code = DECODERS[what]
    audio = tmp_path / "fake" / "aistemsplitter_engine" / "audio"
    audio.mkdir(parents=True)
    (audio.parent / "__init__.py").write_text("class AudioError(Exception): pass\n")
    (audio / "__init__.py").write_text(
        "import ctypes, os, time\nclass AudioFile:\n"
        f"    def __init__(self, *_):\n"
        f"        {body}\n"
        f"        os._exit(1)\n"
    )
    monkeypatch.setattr(decoder, "ENDING", 2.0)
    monkeypatch.setattr(decoder, "LITTLE", 0.0)  # other programs may starve it during this test
    monkeypatch.setattr(worker, "DECODER_SILENCE", 0.1)
    engine = Engine(silence=20, work=tmp_path, decode_seconds=1)
    engine.start()
    Decoder.dismiss()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "fake"), *sys.path])
    Decoder.warm()
    waiting = Decoder._waiting
    assert waiting is not None

    def stop() -> bool:
        # A decoder that is killed before it is confined counts as one that cannot start.
        if code == "INTERNAL" and waiting._is_confined():
            waiting._process.kill()
        return False

    try:
        with pytest.raises(Failed) as caught:
            engine.separate(task(tmp_path / "a"), nothing, stop)
    finally:
        engine.kill()
    assert caught.value.code == code


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")
def test_a_decoder_without_memory_is_not_the_songs_fault(tmp_path: Path) -> None:
    engine = Engine(silence=60, work=tmp_path, decode_seconds=60)
    engine.start()
    Decoder.dismiss()
    try:
        with pytest.raises(Failed, match=r"decoder (cannot start|needs)") as caught:
            _separate_with_little_memory(engine, tmp_path)
    finally:
        engine.kill()
    assert caught.value.code == "OUT_OF_MEMORY"


def _separate_with_little_memory(engine: Engine, folder: Path) -> None:
    """Separate a song whose decoder has 160 MB of address space."""
    popen = subprocess.Popen

    def limited(command: list[str], **options: Any) -> Any:
        return popen(["prlimit", f"--as={160 << 20}", *command], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder.subprocess, "Popen", limited)
        engine.separate(task(folder), nothing, never)


def test_a_model_without_weights(engine: Engine, tmp_path: Path) -> None:
    missing = Task(str(SONG), "song", str(tmp_path), "htdemucs_6s", ["piano"], "wav", None, 20.0)
    with pytest.raises(Failed) as caught:
        engine.separate(missing, nothing, never)
    assert caught.value.code == "MODEL_UNAVAILABLE"


def test_the_engine_dies(engine: Engine, tmp_path: Path) -> None:
    process = engine._process
    assert process is not None

    def kill() -> bool:
        process.kill()
        return False

    with pytest.raises(Failed, match="died") as caught:
        engine.separate(task(tmp_path), nothing, kill)
    assert caught.value.code == "INTERNAL"
    assert engine.separate(task(tmp_path), nothing, never).files  # by another process


def test_the_engine_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker exits with the reason before it claims a song."""
    broken = tmp_path / "broken" / "aistemsplitter_engine"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(broken.parent), *sys.path])
    engine = Engine(silence=60, work=tmp_path, decode_seconds=60)
    with pytest.raises(Failed, match="cannot start: ModuleNotFoundError: No module named"):
        engine.start()
    assert engine._process is None


@pytest.mark.parametrize("kind", ["engine", "decoder"])
def test_no_socket_stays_open_if_no_process_can_be_started(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    engine = Engine(silence=60, work=tmp_path, decode_seconds=60)
    start: Callable[[], object] = engine.start if kind == "engine" else Decoder
    monkeypatch.setattr(subprocess, "Popen", fail)
    open_before = psutil.Process().num_fds()
    with pytest.raises(BlockingIOError) as raised:
        start()
    assert psutil.Process().num_fds() == open_before, raised  # the traceback keeps objects alive


def test_the_engine_hangs(tmp_path: Path) -> None:
    engine = Engine(silence=1, work=tmp_path, decode_seconds=60)
    engine.start()
    assert engine._process is not None
    engine._process.send_signal(signal.SIGSTOP)
    with pytest.raises(Failed, match="hung: 1 s without progress"):
        engine.separate(task(tmp_path), nothing, never)
    assert engine._process is None


def _rest() -> tuple[str, list[str], str, None, float]:
    return "htdemucs_tiny", ["vocals"], "wav", None, 20.0
