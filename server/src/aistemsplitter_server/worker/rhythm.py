"""Tempo, beats and bars of a song, from the onsets in its drums and other stems.

The usual method: an onset envelope from spectral flux, a tempo from its autocorrelation, and beats
by dynamic programming (Ellis, "Beat Tracking by Dynamic Programming", 2007), which are smoothed
then. `bench/README.md` compares libraries, and has the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import fft
from numpy.typing import NDArray

from aistemsplitter_server.worker.frames import Audio, Framer

Array = NDArray[np.float64]

RATE = 16_000  # Hz of the audio
HOP = 160  # frames between two values of an envelope
FPS = RATE / HOP
WINDOW = 512
BANDS = 24
BASS = 160.0  # Hz; kick drum and bass are below
FLOOR = 1e-3  # of an amplitude of 1, below which changes count little
SLOWEST, FASTEST = 54.0, 200.0  # beats per minute
USUAL = 118.0  # beats per minute
SPREAD = 0.75  # octaves
LEVELS = (1, 2, 1 / 2, 3, 1 / 3, 3 / 2, 2 / 3, 4 / 3, 3 / 4)  # the right tempo, of one found
MULTIPLES = 8  # of a period at which the envelope has to repeat
STIFFNESS = 120.0  # cost of uneven beats
NEIGHBOURS = 8  # beats on either side that a beat is smoothed by
EARLY = 0.005  # seconds by which the envelope's peaks come before the onsets, as measured
LEAST_SECONDS = 5.0
LEAST_BEATS = 8
LEAST_SALIENCE = 0.12  # of a pulse; speech and noise have less
NEAR = 3  # values around a beat in which its onset is


@dataclass(frozen=True, slots=True)
class Onsets:
    """Onset envelopes of all bands and of the bass, with ``FPS`` values a second."""

    all: Array
    bass: Array


@dataclass(frozen=True, slots=True)
class Pulse:
    """Beats at one of the levels at which they can be counted.

    Attributes:
        times: The beats, in seconds.
        salience: Correlation of the envelope with itself some beats later.
        accents: How strongly the bass begins at each beat, standardised.
    """

    times: Array
    salience: float
    accents: Array

    @property
    def bpm(self) -> float:
        """Return the beats per minute."""
        return 60 / float(np.median(np.diff(self.times)))


class OnsetMeter:
    """Measures the onset envelopes of mono audio at ``RATE`` that comes in blocks."""

    def __init__(self) -> None:
        edges = np.round(np.geomspace(40, RATE / 2, BANDS + 1) * WINDOW / RATE)
        self._edges = np.maximum(edges, np.arange(1, BANDS + 2)).astype(int)[:-1]
        self._in_bass = self._edges * RATE / WINDOW < BASS
        self._window = np.hanning(WINDOW).astype(np.float32) * np.float32(4 / WINDOW)
        self._framer = Framer(WINDOW, HOP, most=1000)
        self._before: NDArray[np.float32] | None = None
        self._found: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    def add(self, block: Audio) -> None:
        """Measure the next block, (n,)."""
        for windows in self._framer.add(block):
            spectra = np.abs(fft.rfft(windows * self._window))
            loud = np.log1p(np.add.reduceat(spectra, self._edges, axis=1) / FLOOR)
            before = loud[:1] if self._before is None else self._before
            rise = np.maximum(0, np.diff(loud, axis=0, prepend=before))
            self._before = loud[-1:]
            self._found.append((rise.mean(axis=1), rise[:, self._in_bass].mean(axis=1)))

    def result(self) -> Onsets:
        """Return the envelopes of all blocks."""
        if not self._found:
            return Onsets(np.zeros(0), np.zeros(0))
        parts = zip(*self._found, strict=True)
        return Onsets(*(np.concatenate(part).astype(float) for part in parts))


def combined(*parts: tuple[float, Array]) -> Array:
    """Return the sum of envelopes times their weights, each sharpened first."""
    size = max(part.size for _, part in parts)
    return sum(
        (weight * np.pad(_sharp(part), (0, size - part.size)) for weight, part in parts),
        start=np.zeros(size),
    )


def pulses(envelope: Array, bass: Array) -> list[Pulse]:
    """Return the levels at which the beats can be counted; none if there is no steady pulse.

    Args:
        envelope: The onsets to follow.
        bass: The onsets in the bass, of the same length.
    """
    if envelope.size < LEAST_SECONDS * FPS:
        return []
    lags = _autocorrelation(envelope)
    bpm = np.geomspace(SLOWEST, FASTEST, 600)
    salience = _salience(lags, 60 * FPS / bpm)
    best = int(np.argmax(salience * np.exp(-0.5 * (np.log2(bpm / USUAL) / SPREAD) ** 2)))
    if salience[best] < LEAST_SALIENCE:
        return []
    found = []
    for tempo in (bpm[best] * level for level in LEVELS):
        if SLOWEST <= tempo <= FASTEST:
            period = 60 * FPS / tempo
            frames = _track(envelope, period)
            if frames.size >= LEAST_BEATS:
                near = [bass[max(0, at - NEAR) : at + NEAR + 1].max(initial=0) for at in frames]
                strong = float(_salience(lags, np.array([period]))[0])
                times = np.maximum(0, _smooth(frames / FPS) + EARLY)
                found.append(Pulse(times, strong, _standard(np.array(near))))
    return found


def _sharp(envelope: Array) -> Array:
    """Return an envelope without its slow changes, of deviation 1."""
    if not envelope.size:
        return envelope
    width = min(envelope.size, round(FPS))
    mean = np.convolve(envelope, np.ones(width) / width, "same")
    sharp: Array = np.maximum(0, envelope - mean)
    return sharp / (sharp.std() or 1.0)


def _standard(values: Array) -> Array:
    standard: Array = (values - values.mean()) / (values.std() or 1.0)
    return standard


def _autocorrelation(envelope: Array) -> Array:
    size = 1 << (2 * envelope.size - 1).bit_length()
    smooth = np.convolve(envelope - envelope.mean(), np.hanning(7), "same")
    lags = fft.irfft(np.abs(fft.rfft(smooth, size)) ** 2, size)[: envelope.size // 2]
    scaled: Array = lags / ((lags[0] or 1.0) * (1 - np.arange(lags.size) / envelope.size))
    return scaled


def _salience(lags: Array, periods: Array) -> Array:
    """Return the mean autocorrelation at the first multiples of each period."""
    at = periods * np.arange(1, MULTIPLES + 1)[:, None]
    found: Array = np.interp(at, np.arange(lags.size), lags, right=0.0).mean(axis=0)
    return found


def _track(envelope: Array, period: float) -> NDArray[np.int64]:
    """Return the places of the beats: on strong onsets, at even distances."""
    smooth = np.convolve(envelope, np.hanning(5) / 2, "same")
    lags = np.arange(round(0.8 * period), round(1.25 * period) + 1)
    cost = STIFFNESS * np.log(lags / period) ** 2
    total, source = smooth.copy(), np.full(envelope.size, -1)
    for at in range(lags[-1], envelope.size):
        choices = total[at - lags] - cost
        best = int(np.argmax(choices))
        total[at] += choices[best]
        source[at] = at - lags[best]
    at = envelope.size - 1 - int(np.argmax(total[::-1][: round(period)]))
    return np.array([*_back(source, at)][::-1])


def _back(source: Sequence[int] | NDArray[np.int64], at: int) -> Iterator[int]:
    while at >= 0:
        yield at
        at = int(source[at])


def _smooth(times: Array) -> Array:
    """Return each beat on the line through its neighbours, since onsets are uneven by chance."""
    smooth = np.empty_like(times)
    for at in range(times.size):
        first = max(0, min(at - NEIGHBOURS, times.size - 2 * NEIGHBOURS - 1))
        near = times[first : first + 2 * NEIGHBOURS + 1]
        index = np.arange(near.size) - (near.size - 1) / 2
        slope = (index * near).sum() / (index**2).sum()
        smooth[at] = near.mean() + slope * (at - first - (near.size - 1) / 2)
    return smooth
