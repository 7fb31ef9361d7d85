"""Accuracy of the tempo, beats, metre and key that the service finds, on synthetic songs.

Renders 40 songs of 60 to 180 beats per minute (`analysis_songs.py`), separates them with the
demonstration model, and analyses the stems as the worker does. A tempo is right within 2 %. One
that is half, double or another simple ratio of it is at another metrical level and is counted
separately. Beats and metre are compared only where the tempo is right.

    python bench/analysis.py
    python bench/analysis.py --true-stems --set 1 --verbose
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine import Separator
from aistemsplitter_engine.audio import resample
from aistemsplitter_server.splits.analysis import Detected
from aistemsplitter_server.worker import rhythm
from aistemsplitter_server.worker.detection import detect
from analysis_songs import RATE, Song

SONGS = 40
CLOSE = 0.02  # relative error of a tempo that counts as right
NEAR = 0.03  # error in seconds of a beat that counts as right
LEVELS = (2, 1 / 2, 3, 1 / 3, 3 / 2, 2 / 3)
BLOCK = 1 << 16  # frames


@dataclass(frozen=True, slots=True)
class Score:
    """Results for one song.

    Attributes:
        tempo: True if the tempo is right.
        level: True if the tempo is at another metrical level.
        key: True if the key is right.
        near_beats: Fraction of beats within 30 ms of a true one.
        error: Median error of the beats in seconds.
        metre: True if tempo and beats per bar are right.
        downbeat: True if the first beat of the bars is right too.
    """

    tempo: bool
    level: bool
    key: bool
    near_beats: float
    error: float
    metre: bool
    downbeat: bool


def main() -> None:
    """Analyse all songs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--true-stems", action="store_true", help="do not separate the songs")
    parser.add_argument("--set", type=int, default=0, help="which 40 songs")
    parser.add_argument("--verbose", action="store_true", help="print each song")
    options = parser.parse_args()
    separator = None if options.true_stems else Separator("htdemucs_tiny", device="cpu")
    scores, seconds = [], 0.0
    for number in range(SONGS):
        song = Song(number, options.set)
        stems = _stems(song, separator)
        began = time.process_time()
        tones = stems["bass"] + stems["other"] + stems["vocals"]
        found = Detected.model_validate(detect(_blocks(stems["drums"]), _blocks(tones)))
        seconds += time.process_time() - began
        scores.append(_score(song, found))
        if options.verbose:
            print(f"{number:2} {song.tempo:6} {song.beats_per_bar} {song.key:9}", end="  ")
            print(found.grid and (found.grid.bpm, found.grid.beats_per_bar), found.key, scores[-1])
            sys.stdout.flush()
    _print(scores, seconds / SONGS / Song(0).seconds)


def _print(scores: list[Score], cost: float) -> None:
    right = [score for score in scores if score.tempo]
    print("| of 40 songs | |\n| --- | --- |")
    print(f"| tempo right | {len(right)} |")
    print(f"| another level | {sum(score.level for score in scores)} |")
    print(f"| tempo wrong | {sum(not (score.tempo or score.level) for score in scores)} |")
    print(f"| key right | {sum(score.key for score in scores)} |")
    near = np.mean([score.near_beats for score in right])
    print(f"| beats within 30 ms, of songs whose tempo is right | {near:.1%} |")
    print(f"| median error of a beat, ms | {1000 * np.median([s.error for s in right]):.0f} |")
    print(f"| metre right | {sum(score.metre for score in scores)} |")
    print(f"| metre and downbeats right | {sum(score.downbeat for score in scores)} |")
    print(f"| CPU seconds per minute of audio | {60 * cost:.2f} |")


def _stems(song: Song, separator: Separator | None) -> dict[str, NDArray[np.float32]]:
    stems = song.stems()
    if separator is None:
        return stems
    mixture = sum(stems.values())
    assert isinstance(mixture, np.ndarray)
    return separator.separate_array(mixture, RATE).stems


def _blocks(stem: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    pieces = (stem[:, at : at + BLOCK] for at in range(0, stem.shape[1], BLOCK))
    for block in resample(pieces, RATE, rhythm.RATE):
        yield block.mean(axis=0)


def _score(song: Song, found: Detected) -> Score:
    is_key = found.key == song.key
    grid = found.grid
    if grid is None:
        return Score(False, False, is_key, 0.0, 0.0, False, False)
    ratio = grid.bpm / song.tempo
    tempo = abs(ratio - 1) <= CLOSE
    level = not tempo and any(abs(ratio / each - 1) <= CLOSE for each in LEVELS)
    beats = np.array(grid.beats) / 1000
    errors = np.abs(beats[:, None] - song.beats).min(axis=0)
    metre = tempo and grid.beats_per_bar == song.beats_per_bar
    first = beats[grid.first_downbeat]
    off = np.abs(first - song.beats[:: song.beats_per_bar]).min()
    near, error = float(np.mean(errors <= NEAR)), float(np.median(errors))
    return Score(tempo, level, is_key, near, error, metre, bool(metre and off <= NEAR))


if __name__ == "__main__":
    main()
