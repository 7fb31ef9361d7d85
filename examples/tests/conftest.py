from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from real_service import RealService, real_service

SECONDS = 2


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """The real service, in demo mode."""
    with real_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short song."""
    path = tmp_path_factory.mktemp("song") / "song.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(b"\x00\x10\x00\xf0" * (44100 * SECONDS))
    return path


@pytest.fixture(scope="session")
def mp3(song: Path) -> Path:
    """The same song as an MP3."""
    path = song.with_suffix(".mp3")
    with av.open(str(song)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libmp3lame", rate=44100)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path
