"""The engine's command in child processes, so that this package does not depend on the engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio

from aistemsplitter._errors import AiStemSplitterError, ConfigurationError, InputError

# -P: the working folder may contain modules that belong to somebody else.
_COMMAND = (sys.executable, "-P", "-c", "from aistemsplitter_engine.cli import main; main()")


def check_installed() -> None:
    """Check that the engine is installed, without importing it.

    Raises:
        ConfigurationError: It is not.
    """
    if find_spec("aistemsplitter_engine") is None:
        raise ConfigurationError(
            "--local: the engine is not installed: pip install aistemsplitter-engine"
        )


async def models() -> list[dict[str, Any]]:
    """Return the engine's models."""
    output = await _run("models", "list", "--json")
    found: list[dict[str, Any]] = json.loads(output)
    return found


async def split(
    song: Path, out: Path, *, model: str, stems: Sequence[str] | None, output_format: str
) -> dict[str, str]:
    """Split a song and return the paths of its stems. Stems that exist are not made again.

    Args:
        song: Absolute path of the song.
        out: Output folder, in which the song gets a folder of its own.
        model: Name of a model.
        stems: Names of stems; all of the model's if None.
        output_format: Format of the stems.

    Raises:
        AiStemSplitterError: The engine could not split the song.
    """
    options = [f"--output={out}", f"--model={model}", f"--format={output_format}"]
    if stems is not None:
        options.append(f"--stems={','.join(stems)}")
    output = await _run("split", *options, "--json", "--no-download", "--resume", "--", str(song))
    report = json.loads(output.splitlines()[-1])
    if report["status"] not in ("done", "skipped"):
        raise AiStemSplitterError(report.get("error", "the engine was stopped"), code="FAILED")
    return dict(report["stems"])


async def _run(*arguments: str) -> str:
    """Run the command, which is ended if this call is cancelled, and return its output."""
    done = await anyio.run_process(
        [*_COMMAND, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    output = done.stdout.decode(errors="replace").strip()
    if not output:
        problem = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise InputError(problem or f"the engine ended with exit code {done.returncode}")
    return output
