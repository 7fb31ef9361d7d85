"""Separates the sample song, measures how well it went, and draws what came out.

The song's true stems are known, so the separation is compared with them: SDR is the energy of a
true stem over the energy of the error, in dB, and the gain is what was won over taking the mixture
for the stem.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from aistemsplitter_engine import Separator
from aistemsplitter_engine.audio import AudioFile

ROOT = Path(__file__).parents[1]
SONG = ROOT / "songs" / "sample"
OUTPUT = ROOT / "out" / "demo"
COLOURS = {"mixture": "#555", "drums": "#d1495b", "bass": "#00798c", "other": "#edae49"}

Audio = NDArray[np.float32]


def main() -> None:
    """Separate, measure, draw, and say where everything is."""
    console = Console(highlight=False)
    separator = Separator("htdemucs_tiny")
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Separating the sample song", total=1.0)
        result = separator.split(
            SONG / "mixture.flac", OUTPUT, on_progress=lambda done: bar.update(task, completed=done)
        )
    mixture = read(SONG / "mixture.flac")
    estimates = {stem: read(path) for stem, path in result.stems.items()}
    truths = {stem: read(SONG / f"{stem}.flac") for stem in estimates}
    picture = OUTPUT / "stems.png"
    draw({"mixture": mixture, **estimates}, result.sample_rate, picture)

    table = Table("stem", "SDR", "gain over the mixture", "file", box=None, pad_edge=False)
    for stem, estimate in estimates.items():
        quality = sdr(truths[stem], estimate)
        gain = quality - sdr(truths[stem], mixture)
        path = result.stems[stem].relative_to(ROOT)
        table.add_row(stem, f"{quality:.1f} dB", f"{gain:+.1f} dB", str(path))
    console.print(table)
    speed = result.duration / result.elapsed
    console.print(
        f"\n{result.duration:.0f} s of music in {result.elapsed:.1f} s, "
        f"{speed:.1f} times real time, the model's loading included."
        f"\nPicture of mixture and stems: {picture.relative_to(ROOT)}"
        "\n\nThis was htdemucs_tiny, a small model for demonstration, trained on synthetic music."
        "\nFor real songs, install a real one and use it:"
        "\n  .venv/bin/aistemsplitter-local models install htdemucs_ft"
        "\n  .venv/bin/aistemsplitter-local split SONG -o stems",
        soft_wrap=True,
    )


def read(path: Path) -> Audio:
    """Read a whole song, (2, n)."""
    return np.concatenate(list(AudioFile(path).blocks()), axis=1)


def sdr(reference: Audio, estimate: Audio) -> float:
    """Signal-to-distortion ratio in dB."""
    return 10 * float(np.log10(np.square(reference).sum() / np.square(reference - estimate).sum()))


def draw(tracks: dict[str, Audio], rate: int, path: Path) -> None:
    """Draw waveform and spectrogram of each track into a PNG."""
    figure, axes = plt.subplots(
        len(tracks), 2, figsize=(12, 1.7 * len(tracks)), layout="constrained", sharex=True
    )
    for (waveform, spectrogram), (name, audio) in zip(axes, tracks.items(), strict=True):
        mono = audio.mean(0)
        seconds = np.arange(mono.size) / rate
        colour = COLOURS.get(name, "#30638e")
        waveform.plot(seconds[::20], mono[::20], color=colour, linewidth=0.4)
        waveform.set(ylim=(-0.8, 0.8), ylabel=name, yticks=[])
        spectrogram.specgram(mono + 1e-9, NFFT=2048, Fs=rate, noverlap=1024, vmin=-130, vmax=-40)
        spectrogram.set(yscale="symlog", ylim=(40, 16_000), yticks=[100, 1_000, 10_000])
        spectrogram.set_yticklabels(["100 Hz", "1 kHz", "10 kHz"])
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    axes[0][0].set_xlim(0, seconds[-1])
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
