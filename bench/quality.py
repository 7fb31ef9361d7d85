"""Signal-to-distortion ratio of a model's stems for the repository's songs.

Prints each stem's signal-to-distortion ratio in dB, and in brackets the gain over using the
mixture itself as the stem. The songs are synthetic: what a model scores here says that it works,
not how good it is on real music.

    python bench/quality.py
    python bench/quality.py --model htdemucs_ft
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine import Separator
from aistemsplitter_engine.audio import AudioFile
from sdr import sdr

SONGS = Path(__file__).parents[1] / "songs"
STEMS = ("drums", "bass", "other", "vocals")


def main() -> None:
    """Separate every song and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="htdemucs_tiny", help="a name or a checkpoint's path")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    separator = Separator(options.model, device="cpu", precision=options.precision)
    print(f"| {separator.model} | {' | '.join(STEMS)} |")
    print("| --- " * (1 + len(STEMS)) + "|")
    songs = sorted(path for path in SONGS.iterdir() if path.is_dir())
    scores = []
    for song in songs:
        scores.append(_scores(separator, song))
        print(_row(song.name, scores[-1]), flush=True)
    print(_row("median", np.median(scores, axis=0)))


def _scores(separator: Separator, song: Path) -> NDArray[np.float64]:
    """Return each stem's ratio and its gain over the mixture, (stems, 2)."""
    blocks = list(separator.separate(song / "mixture.flac", stems=STEMS))
    mixture = _read(song / "mixture.flac")
    scores = []
    for stem in STEMS:
        truth = _read(song / f"{stem}.flac")
        ratio = sdr(truth, np.concatenate([block.stems[stem] for block in blocks], axis=1))
        scores.append((ratio, ratio - sdr(truth, mixture)))
    return np.array(scores)


def _read(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(AudioFile(path).blocks()), axis=1)


def _row(name: str, scores: NDArray[np.float64]) -> str:
    cells = (f"{ratio:.1f} ({gain:+.1f})" for ratio, gain in scores)
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
