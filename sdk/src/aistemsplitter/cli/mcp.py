"""``aistemsplitter mcp``: a server of the Model Context Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
import typer

from aistemsplitter._errors import ConfigurationError
from aistemsplitter.cli.options import BaseUrl, Key

Folder = Annotated[
    list[Path] | None,
    typer.Option(
        "--folder",
        metavar="PATH",
        help="Folder whose audio files may be read, and those below it; can be repeated. By "
        "default the working folder.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="Folder for the stems, the only one that is written to. By default 'stems' in the "
        "working folder.",
    ),
]


def mcp(
    folder: Folder = None,
    out: Out = None,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Serve the service's functions as tools for a model, by the Model Context Protocol.

    Started by a program such as Claude Desktop, VS Code or Cursor, which it talks to on standard
    input and output. Comes with the extra 'mcp'.
    """
    try:
        from aistemsplitter.mcp.folders import Folders
        from aistemsplitter.mcp.server import serve_stdio
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("mcp", "pydantic")):
            raise
        message = "the MCP server is not installed: pip install 'aistemsplitter[mcp]'"
        raise ConfigurationError(message) from None
    anyio.run(serve_stdio, key, base_url, Folders(folder or [Path()], out or Path("stems")))
