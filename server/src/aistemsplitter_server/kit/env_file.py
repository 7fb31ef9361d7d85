"""The file that settings are read from, one ``NAME=value`` a line.

It may set the engine's variables too, such as the folder of weights, so it becomes a part of this
process's environment. A data folder remembers the file that its service was started with, so that
commands on that folder use the same settings.
"""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex

from dotenv import dotenv_values

REMEMBERED = "settings-file"  # in the data folder: the path of the file
HERE = ".env"  # in the working directory


class NoEnvFile(Exception):
    """The file cannot be read; the text says why and what to do."""


def find(given: Path | None, data: Path) -> Path | None:
    """Return the file to use: the given one, the data folder's, or one in the working directory.

    Raises:
        NoEnvFile: The data folder remembers a file that does not exist.
    """
    if given is not None:
        return given
    note = data / REMEMBERED
    if note.is_file():
        path = Path(note.read_text().strip())
        if not path.is_file():
            raise NoEnvFile(
                f"{path}: does not exist, but the service of {data} was started with it:"
                f" restore it, pass --env-file, or delete {note}"
            )
        return path
    here = Path(HERE)
    return here if here.is_file() else None


def apply(path: Path) -> None:
    """Add the file's variables to this process's environment, whose own values take precedence.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open(encoding="utf-8") as file:
        values = dotenv_values(stream=file, interpolate=False)
    names = {name.upper() for name in os.environ}
    for name, value in values.items():
        if value is not None and name.upper() not in names:
            os.environ[name] = value


def remember(path: Path, data: Path) -> None:
    """Have the data folder remember the file."""
    draft = data / f".{REMEMBERED}.{token_hex(4)}"
    draft.write_text(f"{path.resolve()}\n")
    draft.replace(data / REMEMBERED)
