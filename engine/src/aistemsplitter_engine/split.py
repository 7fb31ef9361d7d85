"""A song into files: separated into the spool, encoded while it grows, renamed when all is done."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from aistemsplitter_engine.audio import AudioFile, FloatArray, OutputFormat, StemWriter, resample
from aistemsplitter_engine.errors import AudioError, Cancelled
from aistemsplitter_engine.model import MODEL_RATE
from aistemsplitter_engine.options import Clip
from aistemsplitter_engine.spool import FRAME_BYTES, Spool
from aistemsplitter_engine.track import Track

Run = Callable[[int, int], Generator[FloatArray]]
_WORK = ".aistemsplitter"  # in the stems' folder


@dataclass(frozen=True, slots=True)
class Export:
    """Where stems go and what they are there; see :meth:`Separator.split`."""

    folder: Path
    format: OutputFormat
    clip: Clip
    mono: bool
    sample_rate: int | None

    def path(self, stem: str) -> Path:
        """Tell where a stem lands."""
        return self.folder / f"{stem}.{self.format.extension}"


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What was written.

    ``duration`` is the song's and ``elapsed`` the run's in seconds; every stem was multiplied with
    ``gain`` to keep all of them within full scale.
    """

    stems: dict[str, Path]
    sample_rate: int
    frames: int
    duration: float
    elapsed: float
    gain: float
    warnings: tuple[str, ...]


def split(
    track: Track, run: Run, export: Export, identity: dict[str, Any], seed: int, *, resume: bool
) -> SplitResult:
    """Write a track's stems; ``run(seed, begin)`` yields them from a sample on."""
    started = time.monotonic()
    made_folder = not export.folder.exists()
    try:
        with _work_folder(export.folder) as work:
            identity = {**identity, "song": _song_identity(track), "stems": track.stems}
            _check_space(track, export)
            spool = Spool(work, track.stems, identity, seed, resume=resume)
            try:
                files, gain = _fill_and_encode(track, run, spool, export)
                for stem, file in files.items():
                    file.replace(export.path(stem))
            except (Cancelled, KeyboardInterrupt):
                raise  # the spool stays, to go on from
            except BaseException:
                spool.remove()
                raise
            spool.remove()
    except OSError as error:
        raise AudioError(f"{error.filename or export.folder}: {error.strerror or error}") from error
    finally:
        if made_folder:
            with suppress(OSError):
                export.folder.rmdir()  # only where nothing was left in it
    rate = _rate(track, export)
    return SplitResult(
        stems={stem: export.path(stem) for stem in track.stems},
        sample_rate=rate,
        frames=track.frames_at(rate),
        duration=track.loudness.frames / MODEL_RATE,
        elapsed=time.monotonic() - started,
        gain=gain,
        warnings=tuple(track.warnings),
    )


def _fill_and_encode(
    track: Track, run: Run, spool: Spool, export: Export
) -> tuple[dict[str, Path], float]:
    """Separate into the spool while encoders follow it; return the files and the gain."""
    rescales = export.clip == "rescale" and not export.format.is_float
    with ThreadPoolExecutor(len(track.stems)) as pool:

        def encode_all(gain: float) -> dict[str, Future[float]]:
            return {
                stem: pool.submit(_encode, track, spool, export, stem, gain) for stem in track.stems
            }

        encoders = encode_all(1.0)
        try:
            with closing(run(spool.seed, spool.frames)) as blocks:
                for block in blocks:
                    spool.append(block)
                    _raise_first_error(encoders.values())
            spool.end()
        except BaseException:
            spool.end(failed=True)
            raise
        peak = max(encoder.result() for encoder in encoders.values())
        gain = 1.0
        if rescales and peak > 1:
            gain = 1 / peak
            for encoder in encode_all(gain).values():
                encoder.result()
    return {stem: spool.folder / export.path(stem).name for stem in track.stems}, gain


def _encode(track: Track, spool: Spool, export: Export, stem: str, gain: float) -> float:
    """Encode a stem into the spool's folder and return its peak."""
    rate = _rate(track, export)
    frames = track.frames_at(rate)
    peak = 0.0
    source = track.source
    tags, cover = (source.tags, source.cover) if isinstance(source, AudioFile) else ({}, None)
    writer = StemWriter(
        spool.folder / export.path(stem).name,
        export.format,
        rate,
        1 if export.mono else 2,
        tags=tags,
        cover=cover,
        frames=frames,
    )
    with writer:
        for block in resample(spool.follow(stem), MODEL_RATE, rate, frames):
            if export.mono:
                block = block.mean(0, keepdims=True, dtype=np.float32)
            peak = max(peak, float(np.abs(block).max()))
            if gain != 1:
                block = block * np.float32(gain)
            if export.clip == "clamp" and not export.format.is_float:
                block = block.clip(-1, 1)
            writer.write(block)
    return peak


def _raise_first_error(encoders: Iterable[Future[float]]) -> None:
    """End the run at once where an encoder has failed, such as on a full disk."""
    for encoder in encoders:
        if encoder.done():
            encoder.result()


def _rate(track: Track, export: Export) -> int:
    return export.format.sample_rate(export.sample_rate or track.source.sample_rate)


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """Give the folder that a run works in, to one run at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{_WORK}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AudioError(f"{folder}: another run is writing stems here; wait for it") from None
    try:
        yield folder / _WORK
    finally:
        lock.release()
        with suppress(OSError):
            Path(lock.lock_file).unlink()


def _song_identity(track: Track) -> dict[str, Any]:
    """Say which song this is: its name, size and time, and how much audio it holds."""
    source = track.source
    identity: dict[str, Any] = {"name": source.name, "frames": track.loudness.frames}
    if isinstance(source, AudioFile):
        status = source.path.stat()
        identity |= {"size": status.st_size, "modified": status.st_mtime_ns}
    return identity


def _check_space(track: Track, export: Export) -> None:
    """Refuse at once what would fill the disk in the end."""
    rate, form = _rate(track, export), export.format
    bits = form.bit_rate or rate * (1 if export.mono else 2) * (form.bit_depth or 16)
    duration = track.loudness.frames / MODEL_RATE
    needed = len(track.stems) * duration * (MODEL_RATE * FRAME_BYTES + bits / 8)
    free = shutil.disk_usage(export.folder).free
    if needed > free:
        raise AudioError(
            f"{export.folder}: the stems need up to {needed / 1e9:.1f} GB while they are made, "
            f"and {free / 1e9:.1f} GB are free; make room or choose another folder"
        )
