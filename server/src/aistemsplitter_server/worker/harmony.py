"""The key of a song, and where its harmony changes, from the pitches in its harmonic stems."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import fft
from numpy.typing import NDArray

from aistemsplitter_server.worker.frames import Audio, Framer
from aistemsplitter_server.worker.rhythm import RATE

Array = NDArray[np.float64]

WINDOW, HOP = 8192, 1600  # frames
FPS = RATE / HOP
PITCHES_FROM, PITCHES_TO = 55.0, 2000.0  # Hz
BASS_FROM, BASS_TO = 38.0, 190.0  # Hz
STEPS = 5  # per semitone, to find the tuning
NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
# How often each step of the scale is played, after Albrecht and Shanahan (2013), with the minor
# seventh of popular music.
PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.010, 0.103, 0.012, 0.214, 0.070, 0.012, 0.090, 0.020),
}
OPENING = 1.2  # seconds with sound in which the bass most often plays the tonic
TONIC_FIRST = TONIC_OFTEN = 0.25  # weights of the tonic in the opening's and in all of the bass
LEAST_CORRELATION = 0.45  # noise and speech have less


@dataclass(frozen=True, slots=True)
class Pitches:
    """Strengths of the pitch classes from C to B, (12, n), with ``FPS`` columns a second."""

    all: Array
    bass: Array


class PitchMeter:
    """Measures the pitch classes of mono audio at ``RATE`` that comes in blocks."""

    def __init__(self) -> None:
        self._framer = Framer(WINDOW, HOP, most=64)
        self._window = np.hanning(WINDOW).astype(np.float32)
        self._ranges = [_Range(PITCHES_FROM, PITCHES_TO), _Range(BASS_FROM, BASS_TO)]

    def add(self, block: Audio) -> None:
        """Measure the next block, (n,)."""
        for windows in self._framer.add(block):
            spectra = np.abs(fft.rfft(windows * self._window)) / WINDOW
            # Peaks only: the skirts of loud partials would count as other pitches.
            inner = spectra[:, 1:-1]
            is_peak = (inner > spectra[:, :-2]) & (inner >= spectra[:, 2:])
            peaks = np.zeros_like(spectra)
            peaks[:, 1:-1] = np.where(is_peak, np.sqrt(inner), 0)
            for each in self._ranges:
                each.add(peaks)

    def result(self) -> Pitches:
        """Return the pitch classes of all blocks."""
        every, bass = (each.result() for each in self._ranges)
        return Pitches(every, bass)


class _Range:
    """The pitch classes in a range of frequencies."""

    def __init__(self, lowest: float, highest: float) -> None:
        hertz = fft.rfftfreq(WINDOW, 1 / RATE)
        self._bins = np.flatnonzero((hertz >= lowest) & (hertz <= highest))
        midi = 12 * np.log2(hertz[self._bins] / 440) + 69
        self._places = np.round(midi * STEPS).astype(int) % (12 * STEPS)
        self._columns = [np.zeros((12 * STEPS, 0))]

    def add(self, peaks: NDArray[np.floating]) -> None:
        columns = np.zeros((12 * STEPS, peaks.shape[0]))
        np.add.at(columns, self._places, peaks[:, self._bins].T)
        self._columns.append(columns)

    def result(self) -> Array:
        fine = np.concatenate(self._columns, axis=1)
        # In tune, most of the energy is in the middle of the semitones.
        tuning = int(np.argmax(fine.sum(axis=1).reshape(12, STEPS).sum(axis=0)))
        off = tuning if tuning <= STEPS // 2 else tuning - STEPS
        centred = np.roll(fine, STEPS // 2 - off, axis=0)
        summed: Array = centred.reshape(12, STEPS, -1).sum(axis=1)
        return summed


def key(pitches: Pitches) -> str | None:
    """Return the key, such as ``F# minor``; None if the pitches fit none."""
    total, bass = pitches.all.sum(axis=1), pitches.bass.sum(axis=1)
    if total.max(initial=0) <= 0 or total.std() == 0:
        return None
    loud = pitches.bass.sum(axis=0)
    sounding = np.flatnonzero(loud > 0.2 * np.median(loud))[: round(OPENING * FPS)]
    first = pitches.bass[:, sounding].sum(axis=1)
    tonics = TONIC_FIRST * first / (first.sum() or 1) + TONIC_OFTEN * bass / (bass.sum() or 1)
    fits = {
        (tonic, mode): float(np.corrcoef(np.roll(profile, tonic), total)[0, 1])
        for mode, profile in PROFILES.items()
        for tonic in range(12)
    }
    tonic, mode = max(fits, key=lambda each: fits[each] + tonics[each[0]])
    return f"{NAMES[tonic]} {mode}" if fits[tonic, mode] >= LEAST_CORRELATION else None


def changes(pitches: Pitches, times: Array) -> Array:
    """Return how much the pitches change at each of the times, from 0 to 1."""
    edges = np.clip(np.round(times * FPS).astype(int), 0, pitches.all.shape[1])
    sums = np.concatenate([np.zeros((12, 1)), np.cumsum(pitches.all, axis=1)], axis=1)
    bounds = np.concatenate([[0], edges, [pitches.all.shape[1]]])
    spans = np.diff(sums[:, bounds], axis=1)
    spans /= np.linalg.norm(spans, axis=0) + 1e-9
    found: Array = 1 - (spans[:, :-1] * spans[:, 1:]).sum(axis=0)
    return found
