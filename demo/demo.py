"""Run the whole system: start the service, split the sample song with the SDK, show the result.

At a terminal the service stays, so that its pages can be opened, until Enter is pressed.

The song's true stems are known, so the separation is compared with them: SDR is the energy of a
true stem over the energy of the error, in dB, and the gain is the difference to using the mixture
as the stem.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from aistemsplitter_engine.audio import AudioFile

ROOT = Path(__file__).parents[1]
SONG = ROOT / "songs" / "sample"
OUTPUT = ROOT / "out" / "demo"
SERVER = [sys.executable, "-m", "aistemsplitter_server"]
STARTS_WITHIN = 60.0  # seconds
STAYS = 600.0  # seconds, while a person looks at the pages
STEMS = ("drums", "bass", "other", "vocals")
COLOURS = {"mixture": "#555", "drums": "#d1495b", "bass": "#00798c", "other": "#edae49"}

Audio = NDArray[np.float32]


def main() -> None:
    """Start the service, split the sample song, show the result, and stop."""
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as data:
        console.print("Starting the service")
        with running_service(Path(data)) as url:
            split_sample(console, Path(data), url)
            if sys.stdin.isatty() and sys.stdout.isatty():
                console.print("The service runs until you press Enter, for ten minutes at most.")
                with suppress(KeyboardInterrupt):
                    select.select([sys.stdin], [], [], STAYS)
            else:
                console.print("The service stops now because this is not a terminal.")
                console.print("Run make demo in a terminal to keep it running for its pages.")
    console.print(
        "\nThe service has stopped, and its data is deleted. To start a permanent one:"
        "\n  .venv/bin/aistemsplitter-server up --demo"
    )


def split_sample(console: Console, data: Path, url: str) -> str:
    """Split the sample song, show the result, and return a link to the pages."""
    for stem in STEMS:  # the SDK replaces no files
        (OUTPUT / f"{stem}.wav").unlink(missing_ok=True)
    key = json.loads(server_output("--data", str(data), "keys", "create", "--json"))["apiKey"]
    console.print(f"It runs on {url}. Splitting the sample song by its API:")
    console.print("  python examples/hello_world.py songs/sample/mixture.flac out/demo\n")
    started = time.monotonic()
    hello_world(url, key)
    show(console, time.monotonic() - started)
    link = page_to_open(data, url)
    console.print(f"\nTo hear the stems in the browser, open\n  {link}")
    return link


def show(console: Console, elapsed: float) -> None:
    """Print the time it took and the quality of each stem, and draw mixture and stems."""
    mixture = read(SONG / "mixture.flac")
    estimates = {stem: read(OUTPUT / f"{stem}.wav") for stem in STEMS}
    picture = OUTPUT / "stems.png"
    rate = AudioFile(SONG / "mixture.flac").sample_rate
    draw({"mixture": mixture, **estimates}, rate, picture)

    table = Table("stem", "SDR", "gain over the mixture", "file", box=None, pad_edge=False)
    for stem, estimate in estimates.items():
        truth = read(SONG / f"{stem}.flac")
        quality = sdr(truth, estimate)
        gain = quality - sdr(truth, mixture)
        table.add_row(stem, f"{quality:.1f} dB", f"{gain:+.1f} dB", f"out/demo/{stem}.wav")
    console.print(table)
    duration = mixture.shape[1] / rate
    console.print(
        f"\n{duration:.0f} s of music in {elapsed:.1f} s, {duration / elapsed:.1f} times real time:"
        " uploaded, queued, separated and downloaded."
        f"\nPicture of mixture and stems: {picture.relative_to(ROOT)}"
        "\n\nThis was htdemucs_tiny, a small demonstration model trained on synthetic music."
        "\nWithout --demo, the service downloads and runs htdemucs_ft."
    )


@contextmanager
def running_service(data: Path) -> Iterator[str]:
    """Run API and worker on a free port; yield the base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = data / "service.log"
    command = [*SERVER, "--data", str(data), "up", "--demo", "--offline", "--port", str(port)]
    with log.open("wb") as output:
        service = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            end = time.monotonic() + STARTS_WITHIN
            while not ready(url):
                if service.poll() is not None or time.monotonic() > end:
                    sys.exit(f"The service did not start:\n{log.read_text()}")
                time.sleep(0.1)
            yield url
        finally:
            service.terminate()
            service.wait()


def ready(url: str) -> bool:
    """Return whether database, storage and a worker are ready."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5):
            return True
    except OSError:
        return False


def server_output(*arguments: str, **environment: str) -> str:
    """Run a command of the server and return its output."""
    return subprocess.run(
        [*SERVER, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ).stdout


def page_to_open(data: Path, url: str) -> str:
    """Return a sign-in link, after opening it as a browser would."""
    port = url.rpartition(":")[2]
    link = server_output(
        "--data", str(data), "accounts", "link", AISTEMSPLITTER_SERVER_PORT=port
    ).strip()
    with urllib.request.urlopen(link, timeout=5):
        return link


def hello_world(url: str, key: str) -> None:
    """Run the SDK's example as a user would."""
    settings = {"AISTEMSPLITTER_BASE_URL": url, "AISTEMSPLITTER_API_KEY": key}
    example = [sys.executable, str(ROOT / "examples" / "hello_world.py")]
    done = subprocess.run(
        [*example, str(SONG / "mixture.flac"), str(OUTPUT)],
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
    )
    if done.returncode:
        sys.exit("The song could not be split.")


def read(path: Path) -> Audio:
    """Read a whole song, (2, n)."""
    return np.concatenate(list(AudioFile(path).blocks()), axis=1)


def sdr(reference: Audio, estimate: Audio) -> float:
    """Return the signal-to-distortion ratio in dB."""
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
