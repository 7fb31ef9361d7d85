"""Helpers that run the command in this process, write songs and list the output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from aistemsplitter_engine.audio import StemWriter
from aistemsplitter_engine.cli.app import app
from aistemsplitter_engine.formats import OutputFormat
from fakes import music
from stem_files import RATE

TINY = ("--model", "htdemucs_tiny", "--device", "cpu")
NOTE = "htdemucs_tiny is a small model trained on synthetic music, for demonstration; for real"


def split(*arguments: str | Path, given: bytes = b"") -> tuple[int, str, str]:
    """Run the command; return its exit code, standard output and standard error."""
    result = CliRunner().invoke(app, ["split", *map(str, arguments)], input=given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    for text in (result.stdout, result.stderr):
        assert "\x1b" not in text
        assert "Traceback" not in text
    return result.exit_code, result.stdout, result.stderr


def write_song(path: Path, seconds: float = 3, gain: float = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with StemWriter(path, OutputFormat("wav", 32), RATE, 2) as writer:
        writer.write(music(seconds) * np.float32(gain))
    return path


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
