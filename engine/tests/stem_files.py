"""Songs for fake networks, and helpers to read the files of their stems."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray, Separator
from aistemsplitter_engine.audio import AudioFile, FloatArray, StemWriter
from aistemsplitter_engine.errors import Cancelled, OutputError
from aistemsplitter_engine.formats import OutputFormat
from fakes import music

RATE = 44_100
STEMS = ("drums", "bass", "other", "vocals")
WORK = ".aistemsplitter"
Options = dict[str, object]


def separator(**options: object) -> Separator:
    return Separator("htdemucs_tiny", **options)


def song(seconds: float = 4, gain: float = 1, rate: int = RATE) -> AudioArray:
    return AudioArray(music(seconds) * np.float32(gain), rate, "a song")


def write_song(path: Path, audio: FloatArray, rate: int = RATE, **more: object) -> Path:
    output = OutputFormat("wav", 32) if path.suffix == ".wav" else OutputFormat("flac", 24)
    with StemWriter(path, output, rate, audio.shape[0], **more) as writer:
        writer.write(audio)
    return path


def read(path: Path) -> FloatArray:
    return np.concatenate(list(AudioFile(path).blocks()), axis=1)


def read_all(folder: Path, extension: str = "wav") -> FloatArray:
    """Return the stems (4, 2, n) in a folder, which must contain nothing else."""
    assert {path.name for path in folder.iterdir()} == {f"{stem}.{extension}" for stem in STEMS}
    return np.stack([read(folder / f"{stem}.{extension}") for stem in STEMS])


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def steps(reported: list[float]) -> list[float]:
    """Return the reported fractions without repetitions."""
    return list(dict.fromkeys(reported))


def stop(
    source: AudioArray | Path,
    folder: Path,
    at: float = 0.5,
    options: Options | None = None,
    **export: object,
) -> None:
    """Split a song, and cancel at a fraction of its progress."""
    cancel = threading.Event()

    def listen(fraction: float) -> None:
        if fraction >= at:
            cancel.set()

    with pytest.raises(Cancelled):
        separator(**options or {}).split(
            source, folder, cancel=cancel, on_progress=listen, **export
        )


def fail_in_an_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    write = StemWriter.write

    def fail(self: StemWriter, block: FloatArray) -> None:
        if self.frames_written > 5 * RATE and self.path.name == "bass.wav":
            raise OutputError(f"{self.path}: cannot be written: No space left on device")
        write(self, block)

    monkeypatch.setattr(StemWriter, "write", fail)
