"""Writing stems to files: separation into a spool, encoding meanwhile, renaming at the end."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aistemsplitter_engine.audio import AudioFile
from aistemsplitter_engine.errors import OutputError
from aistemsplitter_engine.pipeline.encoders import Encoders
from aistemsplitter_engine.pipeline.export import Export
from aistemsplitter_engine.pipeline.memory import FRAME_BYTES
from aistemsplitter_engine.pipeline.separation import TrackSeparation
from aistemsplitter_engine.pipeline.shared_threads import shared_threads
from aistemsplitter_engine.pipeline.spool import Spool
from aistemsplitter_engine.pipeline.track import Track

WORK = ".aistemsplitter"  # a run's working folder, inside the stems' folder

# Of the progress. Encoders keep up with a CPU; after the separation on a GPU, they take longer.
SEPARATION_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class SplitResult:
    """The files of a song's stems.

    Attributes:
        stems: Paths by stem.
        sample_rate: Sample rate of the files in Hz.
        frames: Samples per channel of each file.
        duration: Length of the song in seconds.
        elapsed: Seconds that the run took.
        gain: Factor that all stems were multiplied with.
        loudness_gain: The part of it that brings the mixture to its loudness. The rest keeps stems
            within full scale.
        warnings: Warnings about the song.
    """

    stems: dict[str, Path]
    sample_rate: int
    frames: int
    duration: float
    elapsed: float
    gain: float
    loudness_gain: float
    warnings: tuple[str, ...]


def write_stems(
    track: Track, separation: TrackSeparation, export: Export, *, resume: bool
) -> SplitResult:
    """Separate a track and write its stems, from the samples on that a resumed run has kept."""
    started = time.monotonic()
    seed = secrets.randbits(32) if separation.seed is None else separation.seed
    track.separation_share = SEPARATION_SHARE
    paths = {stem: export.folder / export.name(stem) for stem in track.stems}
    work = export.folder / WORK
    try:
        with _made(export.folder), _locked(export.folder):
            for path in paths.values():
                _check_place(path, track)
            run = separation.identity(track)
            with Spool(work, track.stems, run, seed, resume=resume) as spool:
                _check_space(track, spool, export)
                gain = _separate_and_encode(track, separation, spool, export)
                for path in paths.values():
                    (work / path.name).replace(path)
    except OSError as error:
        place = error.filename or export.folder
        raise OutputError(f"{place}: {error.strerror or error}") from error
    track.report_complete()
    rate = export.rate(track)
    return SplitResult(
        stems=paths,
        sample_rate=rate,
        frames=track.frames_at(rate),
        duration=track.loudness.frames / track.model_rate,
        elapsed=time.monotonic() - started,
        gain=gain,
        loudness_gain=export.loudness_gain(track),
        warnings=tuple(track.warnings),
    )


def _separate_and_encode(
    track: Track, separation: TrackSeparation, spool: Spool, export: Export
) -> float:
    """Separate into the spool while encoders read it; return the gain of all stems."""
    with shared_threads() as threads:
        gain = export.loudness_gain(track)
        encoders = Encoders(threads, track, spool, export, gain)
        try:
            with closing(separation.stems(track, spool.seed, spool.frames)) as blocks:
                for block in blocks:
                    spool.append(block)
                    encoders.check()
            spool.end()
            peak = encoders.peak()
            if peak <= 1 or not export.rescales:
                return gain
            gain /= peak
            encoders = Encoders(threads, track, spool, export, gain, is_rescaled=True)
            encoders.peak()
            return gain
        except BaseException:
            spool.end(failed=True)  # ends the encoders, too
            raise
        finally:
            encoders.wait()


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Create a folder and its parents; at the end, remove those of them that stayed empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for path in new:
            with suppress(OSError):  # it is not empty, or could not be created
                path.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder, so that only one run writes stems there."""
    from filelock import FileLock, Timeout  # slow to import; the networks load meanwhile

    lock = FileLock(folder / f"{WORK}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputError(f"{folder}: another run is writing stems here; wait for it") from None
    try:
        yield
    finally:
        # Before it is released: afterwards the file may belong to another run.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def _check_place(path: Path, track: Track) -> None:
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, but a stem would be written there")
    song = track.source
    if not isinstance(song, AudioFile) or not song.path.exists():  # such as standard input
        return
    if path.exists() and path.samefile(song.path):
        raise OutputError(f"{path}: is the song itself; choose another folder for its stems")


def _check_space(track: Track, spool: Spool, export: Export) -> None:
    """Raise OutputError if the stems will not fit on the disk."""
    rate, duration = export.rate(track), track.loudness.frames / track.model_rate
    pcm = rate * export.channels * (export.format.bit_depth or 16)
    bits = export.format.bits_per_second(export.channels) or pcm
    spooled = (track.loudness.frames - spool.frames) * FRAME_BYTES
    needed = len(track.stems) * (spooled + duration * bits / 8)
    free = shutil.disk_usage(export.folder).free
    if needed > free:
        raise OutputError(
            f"{export.folder}: writing the stems needs up to {_size(needed)}, "
            f"and only {_size(free)} are free; free up space or choose another folder"
        ) from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
