"""Songs for the command, and what it made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import reference
from aistemsplitter_engine.audio import StemWriter
from aistemsplitter_engine.formats import OutputFormat
from stem_files import RATE

TINY = ("--model", "htdemucs_tiny", "--device", "cpu")
NOTE = "htdemucs_tiny is a small model trained on synthetic music, for demonstration; for real"


def write_song(path: Path, seconds: float = 3, gain: float = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with StemWriter(path, OutputFormat("wav", 32), RATE, 2) as writer:
        writer.write(reference.music(seconds) * np.float32(gain))
    return path


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
