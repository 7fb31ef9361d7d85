"""The child process that finds a song's tempo, key and beats: it runs one task, and ends.

It runs confined (see ``sandbox/confinement.py``), on files that its parent has opened for it.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aistemsplitter_server.sandbox import priority
from aistemsplitter_server.worker import confined_child, harmony, rhythm
from aistemsplitter_server.worker.frames import Audio
from aistemsplitter_server.worker.harmony import Pitches
from aistemsplitter_server.worker.rhythm import Pulse

if TYPE_CHECKING:
    from aistemsplitter_engine.audio import FloatArray

LARGEST_FILE = 1 << 20  # bytes
MARGIN = 1.0  # seconds beyond the approximate duration
USUAL = 126.0  # beats per minute, of tempos that people count
UNUSUAL = 0.5  # cost of an octave away from it
BARS = {4: 1.0, 3: 1.0, 2: 0.6}  # beats of a bar, and how common that is
CHANGE, ACCENT = 2.0, 0.3  # weights of what marks a bar: new harmony, and onsets in the bass


@dataclass(frozen=True, slots=True)
class Task:
    """The stems to analyse. All files are open descriptors.

    Attributes:
        drums: The files whose sum has the beats.
        harmony: The files whose sum has the pitches.
        seconds: The song's approximate duration.
        result: The file to write the result to, as JSON.
    """

    drums: list[int]
    harmony: list[int]
    seconds: float
    result: int

    @property
    def cpu_seconds(self) -> int:
        """Return the limit of processor time in seconds. A tenth of it is usual."""
        return 20 + int(self.seconds / 5)


def main() -> None:
    """Run the task. Errors go to stdout."""
    task = Task(**json.loads(sys.argv[1]))
    priority.lower(priority.SEPARATING)
    _rehearse()
    confined_child.answer(
        task.result,
        lambda: detect(_audio(task.drums, task.seconds), _audio(task.harmony, task.seconds)),
        cpu_seconds=task.cpu_seconds,
        largest_file=LARGEST_FILE,
    )


def _rehearse() -> None:
    """Run all code once: numpy imports parts of itself late, and a confined process cannot."""
    clicks = np.zeros(8 * rhythm.RATE, np.float32)
    clicks[:: rhythm.RATE // 2] = 1
    detect(iter([clicks]), iter([clicks]))


def line(task: Task) -> str:
    """Return a task as the child's argument."""
    return json.dumps(asdict(task))


def detect(drums: Iterator[Audio], tones: Iterator[Audio]) -> dict[str, Any]:
    """Return ``key``, None if the song has none, and ``grid``, None if it has no steady pulse.

    They have the form of ``splits.analysis.Detected``.

    Args:
        drums: Mono audio at ``rhythm.RATE``, in blocks.
        tones: The same of the instruments that play pitches.
    """
    hits, notes, meter = rhythm.OnsetMeter(), rhythm.OnsetMeter(), harmony.PitchMeter()
    for block in drums:
        hits.add(block)
    for block in tones:
        notes.add(block)
        meter.add(block)
    pitches, beaten, played = meter.result(), hits.result(), notes.result()
    bass = rhythm.combined((1, beaten.bass), (1, played.bass))
    envelope = rhythm.combined((1, beaten.all), (1, beaten.bass), (0.5, played.all))
    found: dict[str, Any] = {"key": harmony.key(pitches), "grid": None}
    pulses = rhythm.pulses(envelope, bass)
    if pulses:
        scored = [(*_bar(pulse, pitches), pulse) for pulse in pulses]
        _, length, first, pulse = max(scored, key=lambda each: each[0])
        found["grid"] = {
            "beats": [round(float(time) * 1000) for time in pulse.times],
            "beatsPerBar": length,
            "firstDownbeat": first,
        }
    return found


def _bar(pulse: Pulse, pitches: Pitches) -> tuple[float, int, int]:
    """Return how likely it is that a pulse is the beat, the beats of a bar and the first downbeat.

    People count beats at a usual tempo that make up bars, whose first beat has new harmony and
    bass.
    """
    changes = harmony.changes(pitches, pulse.times)
    usual = np.log(max(pulse.salience, 1e-3)) - UNUSUAL * np.log2(pulse.bpm / USUAL) ** 2
    best = (-np.inf, 4, 0)
    for length, common in BARS.items():
        for first in range(length):
            others = np.delete(changes, np.s_[first::length])
            change = changes[first::length].mean() - others.mean()
            accent = pulse.accents[first::length].mean()
            marked = common * (CHANGE * float(change) + ACCENT * float(accent))
            best = max(best, (marked, length, first))
    return float(usual) + best[0], best[1], best[2]


def _audio(files: Sequence[int], seconds: float) -> Iterator[Audio]:
    """Yield the sum of files, mono at ``rhythm.RATE``, up to about this time."""
    from aistemsplitter_engine.audio import AudioFile, resample

    songs = [AudioFile("stem", file) for file in files]
    streams: list[Iterator[FloatArray]] = [
        resample(song.blocks(), song.sample_rate, rhythm.RATE) for song in songs
    ]
    left = math.ceil((seconds + MARGIN) * rhythm.RATE)
    for blocks in zip(*streams, strict=False):
        confined_child.end_without_parent()
        mono = sum(block.mean(axis=0) for block in blocks)
        yield mono[:left]
        left -= len(mono)
        if left <= 0:
            return
