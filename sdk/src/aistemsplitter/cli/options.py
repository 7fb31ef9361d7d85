"""Options shared by several commands, and the client created from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from aistemsplitter._client import AiStemSplitter
from aistemsplitter._errors import InputError

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="API key; read from AISTEMSPLITTER_API_KEY if omitted. Prefer the variable: other "
        "users of this machine can see the options of running commands.",
    ),
]
BaseUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Base URL of the API; read from AISTEMSPLITTER_BASE_URL if omitted.",
    ),
]
Out: TypeAlias = Annotated[
    Path, typer.Option("--out", "-o", help="Output folder, in which each song gets its own folder.")
]
Stems: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Comma-separated names of stems, such as vocals,drums."),
]
Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing stems of a song with the same name.")
]
SplitId: TypeAlias = Annotated[
    str, typer.Argument(metavar="SPLIT", help="Id of the split, such as split_01J...")
]


def connect(key: str | None, base_url: str | None) -> AiStemSplitter:
    """Return a client with these settings."""
    return AiStemSplitter(key, base_url=base_url)


def listed(names: str | None) -> list[str] | None:
    """Split a comma-separated list of names; None if there is no list."""
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


def pairs(given: Sequence[str]) -> dict[str, str]:
    """Return metadata given as KEY=VALUE.

    Raises:
        InputError: There is no equals sign.
    """
    found = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"{pair}: not metadata. Write it as KEY=VALUE, such as order=1001")
        found[key] = value
    return found
