"""Options that several commands take, and the client that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from aistemsplitter._client import AiStemSplitter

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, one object on each line.")
]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="API key; AISTEMSPLITTER_API_KEY if omitted. Other users of this machine can see "
        "the options of running commands.",
    ),
]
BaseUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--base-url", metavar="URL", help="Base URL of the API; AISTEMSPLITTER_BASE_URL if omitted."
    ),
]
Out: TypeAlias = Annotated[
    Path, typer.Option("--out", "-o", help="Folder above the folders of the songs.")
]
Stems: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Only these stems, such as vocals,instrumental.")
]
Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace the stems of a song of the same name.")
]
SplitId: TypeAlias = Annotated[
    str, typer.Argument(metavar="SPLIT", help="Id of the split, split_...")
]


def connect(key: str | None, base_url: str | None) -> AiStemSplitter:
    """Return a client with these settings."""
    return AiStemSplitter(key, base_url=base_url)


def listed(names: str | None) -> list[str] | None:
    """Return the names in a list that is separated by commas."""
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]
