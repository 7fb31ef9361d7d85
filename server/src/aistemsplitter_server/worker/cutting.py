"""The child process that makes listening copies: it runs the one task in its argument, and ends.

It runs confined (see ``sandbox/confinement.py``), on files that its parent has opened for it.

A track becomes one file of pieces, each a FLAC file of its own, so that a browser can fetch the
bytes of a few seconds and decode them to exactly those samples. All tracks have the same rate,
length and pieces. Memory does not grow with the song.
"""

from __future__ import annotations

import io
import json
import os
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_server.sandbox import priority
from aistemsplitter_server.worker import confined_child

if TYPE_CHECKING:
    from aistemsplitter_engine.audio import FloatArray

RATES = range(8_000, 48_001)  # Hz: every browser plays these, and nobody hears more
SECONDS = 5  # per piece, give or take half a unit
UNIT = 180  # frames, which last a whole number of frames at each of the player's speeds
BINS = 2_000  # of a waveform
FULL = 32_768
COMPRESSION = "2"  # of 12: more takes much longer and saves little
MIXTURE = "mixture"  # the track's name, which no stem has
INDEX = "player.json"


@dataclass(frozen=True, slots=True)
class Task:
    """The copies to make. All files are open descriptors.

    Attributes:
        copies: The files to write, by track: each stem, and the mixture.
        index: The file to write the player's index to.
        stems: The stems' files, by name.
        song: The mixture's file; None if it no longer exists.
        gain: The factor that the stems were multiplied by. The song gets it too, for the same
            level.
        whole: The stems whose sum replaces a missing mixture, if there are such.
        seconds: The song's approximate duration.
    """

    copies: dict[str, int]
    index: int
    stems: dict[str, int]
    song: int | None
    gain: float
    whole: list[str]
    seconds: float

    @property
    def cpu_seconds(self) -> int:
        """Return the limit of processor time in seconds. A hundredth of it is usual."""
        return 120 + int(self.seconds * (len(self.stems) + 1) / 10)

    @property
    def largest_file(self) -> int:
        """Return the limit of a copy's size in bytes: a minute more, uncompressed, and a tenth."""
        return int((self.seconds + 60) * RATES[-1] * 4 * 1.1)


def main() -> None:
    """Run the task. Errors go to stdout."""
    task = Task(**json.loads(sys.argv[1]))
    priority.lower(priority.PLAYER_AUDIO)
    confined_child.answer(
        task.index,
        partial(cut, task, confined_child.end_without_parent),
        cpu_seconds=task.cpu_seconds,
        largest_file=task.largest_file,
    )


def line(task: Task) -> str:
    """Return a task as the child's argument."""
    return json.dumps(asdict(task))


def cut(task: Task, before_piece: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Write the copies, and return the player's index."""
    from aistemsplitter_engine import AudioError
    from aistemsplitter_engine.audio import AudioFile

    stems = {name: AudioFile(name, file) for name, file in task.stems.items()}
    source = next(iter(stems.values())).sample_rate
    rate = source if source in RATES else min(max(source, RATES[0]), RATES[-1])
    frames = None
    write = partial(_track, task, before_piece)
    width = max(1, -int(-task.seconds * rate // BINS))
    tracks = []
    for name, stem in stems.items():
        track, frames = write(name, [stem], rate, frames, width)
        tracks.append(track)
    mixture = None
    if task.song is not None:
        with suppress(AudioError):  # it was deleted or damaged in the meantime
            song = [AudioFile(MIXTURE, task.song)]
            mixture = write(MIXTURE, song, rate, frames, width, task.gain)[0]
    is_song = mixture is not None
    if mixture is None and task.whole:
        parts = [stems[name] for name in task.whole]
        mixture = write(MIXTURE, parts, rate, frames, width)[0]
    return {
        "sampleRate": rate,
        "frames": frames,
        "pieceFrames": _piece_frames(rate),
        "binFrames": width,
        "mixtureIsSong": is_song,
        "tracks": [*tracks, mixture] if mixture else tracks,
    }


def _track(
    task: Task,
    before_piece: Callable[[], None],
    name: str,
    files: Sequence[Any],
    rate: int,
    frames: int | None,
    width: int,
    gain: float = 1.0,
) -> tuple[dict[str, Any], int]:
    """Write one track, the sum of the files; return its entry in the index and its frames."""
    from aistemsplitter_engine.audio import resample

    waveform = _Waveform(width)
    offsets = [0]
    blocks = _sums([resample(file.blocks(), file.sample_rate, rate, frames) for file in files])
    if gain != 1:
        blocks = (block * np.float32(gain) for block in blocks)
    with os.fdopen(os.dup(task.copies[name]), "wb") as target:
        target.seek(0)  # a damaged mixture may have been written in part
        target.truncate()
        for piece in _pieces(blocks, _piece_frames(rate)):
            before_piece()
            waveform.add(piece)
            target.write(_flac(piece, rate))
            offsets.append(target.tell())
    peaks, levels = waveform.drawn()
    track = {"name": name, "offsets": offsets, "peaks": peaks, "levels": levels}
    return track, waveform.frames


def _piece_frames(rate: int) -> int:
    return round(SECONDS * rate / UNIT) * UNIT


def _sums(streams: Sequence[Iterator[FloatArray]]) -> Iterator[FloatArray]:
    for blocks in zip(*streams, strict=True):
        yield sum(blocks[1:], start=blocks[0])


def _pieces(blocks: Iterator[FloatArray], length: int) -> Iterator[NDArray[np.int16]]:
    """Yield the stream as 16-bit pieces of (2, length); the last one is as long as what is left."""
    piece = np.empty((2, length), np.int16)
    filled = 0
    for block in blocks:
        steps = np.clip(np.rint(block * np.float32(FULL)), -FULL, FULL - 1).astype(np.int16)
        while steps.shape[1]:
            part = steps[:, : length - filled]
            piece[:, filled : filled + part.shape[1]] = part
            filled += part.shape[1]
            steps = steps[:, part.shape[1] :]
            if filled == length:
                yield piece
                filled = 0
    if filled:
        yield piece[:, :filled]


def _flac(piece: NDArray[np.int16], rate: int) -> bytes:
    import av

    target = io.BytesIO()
    options = {"fflags": "+bitexact", "metadata_header_padding": "0"}
    with av.open(target, "w", format="flac", container_options=options) as container:
        stream = container.add_stream("flac", rate=rate)
        stream.codec_context.format = "s16"
        stream.codec_context.layout = "stereo"
        stream.codec_context.options = {"compression_level": COMPRESSION}
        packed = np.ascontiguousarray(piece.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
        frame.sample_rate = rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


class _Waveform:
    """The peak and the level of every so many frames, both channels together."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._left = np.empty((2, 0), np.int16)
        self._peaks: list[NDArray[np.float64]] = []
        self._levels: list[NDArray[np.float64]] = []
        self.frames = 0

    def add(self, piece: NDArray[np.int16]) -> None:
        self.frames += piece.shape[1]
        joined = np.concatenate([self._left, piece], axis=1)
        whole = joined.shape[1] // self._width * self._width
        self._measure(joined[:, :whole].reshape(2, -1, self._width))
        self._left = joined[:, whole:]

    def drawn(self) -> tuple[str, str]:
        """Return peaks and levels (RMS), one byte per bin with full scale at 255, in base64."""
        if self._left.shape[1]:
            self._measure(self._left[:, None])
            self._left = self._left[:, :0]
        peaks, levels = (
            b64encode(np.rint(np.concatenate(found) * (255 / FULL)).astype("u1").tobytes()).decode()
            for found in (self._peaks, self._levels)
        )
        return peaks, levels

    def _measure(self, bins: NDArray[np.int16]) -> None:
        samples = bins.astype(np.float64)
        self._peaks.append(np.abs(samples).max(axis=(0, 2), initial=0.0))
        self._levels.append(np.sqrt(np.mean(samples**2, axis=(0, 2))))
