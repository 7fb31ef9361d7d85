"""The engine's command in child processes, so that this package does not depend on the engine."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.text import TextReceiveStream

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
    lines: list[str] = []
    await _run("models", "list", "--json", on_line=lines.append)
    found: list[dict[str, Any]] = json.loads("".join(lines))
    return found


async def split(
    song: Path,
    out: Path,
    *,
    model: str,
    stems: Sequence[str] | None,
    output_format: str,
    on_progress: Callable[[float], object],
) -> dict[str, str]:
    """Split a song and return the paths of its stems. Stems that exist are not made again.

    Args:
        song: Absolute path of the song.
        out: Output folder, in which the song gets a folder of its own.
        model: Name of a model.
        stems: Names of stems; all of the model's if None.
        output_format: Format of the stems.
        on_progress: Callback that receives the fraction done.

    Raises:
        AiStemSplitterError: The engine could not split the song.
    """
    options = [f"--output={out}", f"--model={model}", f"--format={output_format}"]
    if stems is not None:
        options.append(f"--stems={','.join(stems)}")
    options += ["--json", "--progress", "--no-download", "--resume"]
    report: dict[str, Any] = {}

    def receive(line: str) -> None:
        report.clear()
        report.update(json.loads(line))
        if report["status"] == "progress":
            on_progress(report["fraction"])

    await _run("split", *options, "--", str(song), on_line=receive)
    if report["status"] not in ("done", "skipped"):
        raise AiStemSplitterError(report.get("error", "the engine was stopped"), code="FAILED")
    return dict(report["stems"])


async def _run(*arguments: str, on_line: Callable[[str], object]) -> None:
    """Run the command and pass on the lines of its output. It ends if this call is cancelled.

    Raises:
        InputError: There is no output; the last line of its errors is the reason.
    """
    pending, empty = "", True
    with tempfile.TemporaryFile() as errors:
        async with await anyio.open_process(
            [*_COMMAND, *arguments], stdin=subprocess.DEVNULL, stderr=errors
        ) as process:
            assert process.stdout is not None
            async for chunk in TextReceiveStream(process.stdout, errors="replace"):
                *lines, pending = (pending + chunk).split("\n")
                for line in lines:
                    empty = False
                    on_line(line)
        if empty:
            errors.seek(0)
            problem = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise InputError(problem or f"the engine ended with exit code {process.returncode}")
