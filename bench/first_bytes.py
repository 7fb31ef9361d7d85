"""Share of a song that is separated before the first bytes of its stems are on disk.

Splits a song of ten minutes and stops as soon as every stem's file holds audio.

    python bench/first_bytes.py
    python bench/first_bytes.py --model htdemucs_tiny
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from aistemsplitter_engine import Cancelled, Separator
from aistemsplitter_engine.pipeline.write import SEPARATION_SHARE
from material import environment, write_hub_files, write_song

_HEADER = 4096  # bytes; a file that is longer holds audio


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="htdemucs", help="with random weights, but for the tiny")
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= environment(folder)
        write_hub_files(folder / "weights", options.model)
        song = write_song(folder / "song.wav", options.minutes * 60)
        cancel, started = threading.Event(), time.monotonic()

        def look(fraction: float) -> None:
            files = list((folder / "stems").rglob("*.wav"))
            if files and all(path.stat().st_size > _HEADER for path in files):
                cancel.set()
                print(
                    f"{options.minutes:g} min, {options.model}: the first bytes of {len(files)} "
                    f"stems were on disk after {time.monotonic() - started:.1f} s, with "
                    f"{fraction / SEPARATION_SHARE:.1%} of the song separated"
                )

        with suppress(Cancelled):
            Separator(options.model, device="cpu").split(
                song, folder / "stems", on_progress=look, cancel=cancel
            )


if __name__ == "__main__":
    main()
