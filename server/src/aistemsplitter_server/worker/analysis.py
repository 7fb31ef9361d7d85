"""Finding a song's tempo, key and beats in its stems, before they are stored.

A failure never fails the split, which then has no analysis.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from aistemsplitter_server.splits.analysis import Detected
from aistemsplitter_server.worker import confined_child, detection

logger = logging.getLogger(__name__)

LONGEST = 20 * 60.0  # seconds; what is longer is a mix or a recording of speech
LARGEST_RESULT = 1 << 18  # bytes
PITCHED = ("bass", "guitar", "piano", "other", "vocals")
RESULT = "analysis.json"


class _Stopped(Exception):
    """The worker stops, or the attempt is superseded."""


def analyse(
    folder: Path,
    stems: Mapping[str, Path],
    song: Path,
    seconds: float,
    should_stop: Callable[[], bool],
) -> Detected | None:
    """Return what is found in a song; None if that fails, or the song is too long.

    Args:
        folder: Where to put a temporary file.
        stems: The stems' files by name.
        song: The song's file, for what no stem has.
        seconds: The song's approximate duration.
        should_stop: Whether to give up.
    """
    if seconds > LONGEST:
        return None

    def check() -> None:
        if should_stop():
            raise _Stopped

    try:
        with ExitStack() as opened:

            def descriptors(paths: list[Path]) -> list[int]:
                return [opened.enter_context(path.open("rb")).fileno() for path in paths]

            task = detection.Task(
                drums=descriptors(_drums(stems, song)),
                harmony=descriptors(_pitched(stems, song)),
                seconds=seconds,
                result=opened.enter_context((folder / RESULT).open("w+b")).fileno(),
            )
            files = [*task.drums, *task.harmony, task.result]
            confined_child.run(
                detection.__name__,
                detection.line(task),
                files,
                seconds=2 * task.cpu_seconds,
                check=check,
            )
        with (folder / RESULT).open("rb") as file:
            return Detected.model_validate_json(file.read(LARGEST_RESULT))
    except _Stopped:
        return None
    except Exception as error:
        logger.warning("the song was not analysed: %s", error)
        return None


def _drums(stems: Mapping[str, Path], song: Path) -> list[Path]:
    return [stems.get("drums") or stems.get("instrumental") or song]


def _pitched(stems: Mapping[str, Path], song: Path) -> list[Path]:
    if "other" in stems:
        return [path for name, path in stems.items() if name in PITCHED]
    return [stems.get("instrumental") or song]
