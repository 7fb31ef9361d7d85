"""Synthetic songs with known tempo, metre and key, for `analysis.py`.

Each song has drums, bass, other (chords) and vocals (a melody), played a few milliseconds off.
Songs differ in pattern, density, timbre, introduction and fills, and begin after some silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

RATE = 44100
PITCHES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
PROGRESSIONS = {  # degrees of the scale, one chord a bar
    "major": ((0, 4, 5, 3), (0, 3, 4, 0), (0, 5, 3, 4), (1, 4, 0, 0), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 3, 6, 0), (0, 2, 5, 4)),
}
# Positions of kick, snare and closed hi-hat in a bar, in beats, by the number of beats per bar.
PATTERNS = {
    4: (
        ((0, 2), (1, 3), (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5)),  # rock
        ((0, 1.5, 2, 2.5), (1, 3), (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5)),
        ((0, 1, 2, 3), (1, 3), (0.5, 1.5, 2.5, 3.5)),  # disco
        ((0, 2.5), (1, 3), (0, 1, 2, 3)),
        ((0, 0.75, 2.5), (1, 3), tuple(np.arange(16) / 4)),  # funk
    ),
    3: (
        ((0,), (1, 2), (0, 1, 2)),  # waltz
        ((0, 1.5), (2,), (0, 0.5, 1, 1.5, 2, 2.5)),
    ),
    2: (  # 6/8: a beat is a dotted quarter note
        ((0,), (1,), (0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3)),
        ((0, 2 / 3), (1,), (0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3)),
    ),
}
LATE = 0.004  # standard deviation of a note's timing in seconds

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Song:
    """A song, always the same for the same number and set.

    Attributes:
        number: 0 to 39; gives each song of a set another tempo.
        chosen: The set of 40 songs.
        seconds: Its length.
    """

    number: int
    chosen: int = 0
    seconds: float = 45.0

    @cached_property
    def tempo(self) -> float:
        """Beats per minute, 60 to 180."""
        spread = np.random.default_rng(self.chosen).permutation(np.linspace(60, 180, 40))
        tempo = float(spread[self.number]) + self._rng(1).uniform(-1, 1)
        return round(min(180.0, max(60.0, tempo)), 2)

    @cached_property
    def beats_per_bar(self) -> int:
        """4, 3, or for slower songs also 2 (6/8)."""
        choices = [4, 4, 4, 3] + ([2] if self.tempo < 110 else [])
        return int(self._rng(2).choice(choices))

    @cached_property
    def mode(self) -> str:
        """``major`` or ``minor``."""
        return "major" if self._rng(3).random() < 0.5 else "minor"

    @cached_property
    def tonic(self) -> int:
        """The key's first pitch class, C being 0."""
        return int(self._rng(4).integers(12))

    @property
    def key(self) -> str:
        """Name of the key."""
        return f"{PITCHES[self.tonic]} {self.mode}"

    @cached_property
    def start(self) -> float:
        """Seconds of silence before the first beat."""
        return float(self._rng(5).uniform(0.05, 1.5))

    @cached_property
    def beats(self) -> NDArray[np.float64]:
        """Times of all beats in seconds."""
        beat = 60 / self.tempo
        bars = int((self.seconds - self.start) / beat / self.beats_per_bar)
        return self.start + beat * np.arange(bars * self.beats_per_bar)

    def stems(self) -> dict[str, Audio]:
        """Return each stem, (2, n)."""
        frames = round(self.seconds * RATE)
        mono = {
            "drums": self._drums(frames),
            "bass": self._bass(frames),
            "other": self._chords(frames),
            "vocals": self._melody(frames),
        }
        levels = {"drums": 0.5, "bass": 0.35, "other": 0.3, "vocals": 0.3}
        return {name: np.stack([audio * levels[name]] * 2) for name, audio in mono.items()}

    def _rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.number + 40 * self.chosen, purpose])

    def _bars(self) -> NDArray[np.float64]:
        return self.beats[:: self.beats_per_bar]

    def _chord(self, bar: int) -> list[int]:
        """Return a triad as MIDI pitches around middle C."""
        scale = MAJOR if self.mode == "major" else MINOR
        progressions = PROGRESSIONS[self.mode]
        progression = progressions[int(self._rng(6).integers(len(progressions)))]
        degree = progression[bar % len(progression)]
        return [
            48 + self.tonic + scale[(degree + step) % 7] + 12 * ((degree + step) // 7)
            for step in (0, 2, 4)
        ]

    def _drums(self, frames: int) -> Audio:
        rng = self._rng(7)
        patterns = PATTERNS[self.beats_per_bar]
        kick, snare, hat = patterns[int(rng.integers(len(patterns)))]
        beat, out = 60 / self.tempo, np.zeros(frames, np.float32)
        intro = int(rng.choice([0, 0, 2, 4]))
        tone = rng.uniform(45, 60)
        for bar, begins in enumerate(self._bars()):
            if bar < intro:
                continue
            for place in kick:
                _add(out, begins + beat * place + rng.normal(0, LATE), _kick(tone))
            for place in snare:
                _add(out, begins + beat * place + rng.normal(0, LATE), _snare(rng))
            for place in hat:
                loud = 0.35 if place % 1 else 0.5
                at = begins + beat * place + rng.normal(0, LATE)
                _add(out, at, loud * rng.uniform(0.7, 1) * _noise(rng, 0.03, 0.012))
            if bar % 8 == 7:  # a fill
                for place in np.arange(self.beats_per_bar * 4 - 4, self.beats_per_bar * 4) / 4:
                    _add(out, begins + beat * place + rng.normal(0, LATE), 0.6 * _snare(rng))
            if bar % 8 == 0:
                _add(out, begins + rng.normal(0, LATE), 0.5 * _noise(rng, 1.0, 0.3))  # a crash
        return out

    def _bass(self, frames: int) -> Audio:
        rng = self._rng(8)
        beat, out = 60 / self.tempo, np.zeros(frames, np.float32)
        step = float(rng.choice([0.5, 1, 2]))
        for bar, begins in enumerate(self._bars()):
            root = self._chord(bar)[0] - 12
            for place in np.arange(0, self.beats_per_bar, step):
                pitch = root if place == 0 or rng.random() < 0.7 else root + 7
                at = begins + beat * place + rng.normal(0, LATE)
                _add(out, at, _note(pitch, beat * step * 0.9, (1, 0.5, 0.25, 0.1), 0.6))
        return out

    def _chords(self, frames: int) -> Audio:
        rng = self._rng(9)
        beat, out = 60 / self.tempo, np.zeros(frames, np.float32)
        partials = tuple(rng.uniform(0.2, 1, 6) / np.arange(1, 7))
        step = float(rng.choice([1, 2, self.beats_per_bar]))
        for bar, begins in enumerate(self._bars()):
            for place in np.arange(0, self.beats_per_bar, step):
                for pitch in self._chord(bar):
                    at = begins + beat * place + rng.normal(0, LATE)
                    _add(out, at, 0.4 * _note(pitch + 12, beat * step * 0.95, partials, 1.2))
        return out

    def _melody(self, frames: int) -> Audio:
        rng = self._rng(10)
        scale = MAJOR if self.mode == "major" else MINOR
        beat, out = 60 / self.tempo, np.zeros(frames, np.float32)
        for bar, begins in enumerate(self._bars()):
            if bar % 4 == 3 and rng.random() < 0.6:
                continue
            chord = self._chord(bar)
            for place in np.arange(0, self.beats_per_bar, 0.5):
                if rng.random() < 0.4:
                    continue
                strong = place == int(place)
                degree = scale[int(rng.integers(7))]
                pitch = int(rng.choice(chord)) if strong else 48 + self.tonic + degree
                at = begins + beat * place + rng.normal(0.01, 2 * LATE)
                _add(out, at, _sung(pitch + 12, beat * float(rng.choice([0.4, 0.8]))))
        return out


def _add(out: Audio, seconds: float, sound: Audio) -> None:
    at = max(0, round(seconds * RATE))
    sound = sound[: max(0, out.size - at)]
    out[at : at + sound.size] += sound


def _times(seconds: float) -> NDArray[np.float64]:
    return np.arange(max(1, round(seconds * RATE))) / RATE


def _kick(tone: float) -> Audio:
    t = _times(0.25)
    phase = 2 * np.pi * (tone * t + 3 * (1 - np.exp(-t / 0.03)))
    return (np.sin(phase) * np.exp(-t / 0.08)).astype(np.float32)


def _noise(rng: np.random.Generator, seconds: float, decay: float) -> Audio:
    t = _times(seconds)
    noise = np.diff(rng.standard_normal(t.size + 1))
    return (0.3 * noise * np.exp(-t / decay)).astype(np.float32)


def _snare(rng: np.random.Generator) -> Audio:
    t = _times(0.2)
    body = 0.5 * np.sin(2 * np.pi * 190 * t) * np.exp(-t / 0.05)
    return (body + 0.4 * rng.standard_normal(t.size) * np.exp(-t / 0.06)).astype(np.float32)


def _note(pitch: float, seconds: float, partials: tuple[float, ...], decay: float) -> Audio:
    t = _times(seconds)
    wave = sum(
        level * np.sin(2 * np.pi * _hertz(pitch) * (number + 1) * t)
        for number, level in enumerate(partials)
    )
    return (wave * np.exp(-t / decay) * _edges(t, 0.005)).astype(np.float32)


def _sung(pitch: float, seconds: float) -> Audio:
    t = _times(seconds)
    phase = 2 * np.pi * _hertz(pitch) * t + 0.25 * np.sin(2 * np.pi * 5.5 * t)
    wave = sum(np.sin(number * phase) / number**1.5 for number in range(1, 8))
    return (0.5 * wave * _edges(t, 0.03)).astype(np.float32)


def _hertz(pitch: float) -> float:
    return float(440 * 2 ** ((pitch - 69) / 12))


def _edges(t: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    edges: NDArray[np.float64] = np.minimum(1, np.minimum(t, t[-1] - t) / seconds)
    return edges
