"""``aistemsplitter mcp``: a server of the Model Context Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import anyio
import typer

from aistemsplitter._errors import ConfigurationError, InputError
from aistemsplitter.cli import show
from aistemsplitter.cli.options import BaseUrl, Key

Folder: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--folder",
        metavar="PATH",
        help="Folder whose audio files may be read, and those below it; can be repeated. By "
        "default the working folder, and none with --http.",
    ),
]
Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="Folder for the stems, the only one that is written to. By default 'stems' in the "
        "working folder, and none with --http: then callers get URLs.",
    ),
]
Http: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--http",
        metavar="[HOST:]PORT",
        help="Serve streamable HTTP at /mcp, by default on the loopback address, instead of "
        "standard input and output. Callers send their API keys.",
    ),
]
AllowHost: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="Name by which callers reach this server; can be repeated. Requests by other names "
        "than this, the address and localhost are rejected.",
    ),
]
Local: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--local",
        help="Split files on this machine with aistemsplitter-engine, without a service.",
    ),
]


def mcp(
    folder: Folder = None,
    out: Out = None,
    http: Http = None,
    allow_host: AllowHost = None,
    local: Local = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Serve the service's functions as tools for a model, by the Model Context Protocol.

    A program such as Claude Desktop, VS Code or Cursor starts it and talks to it on standard input
    and output. Comes with the extra 'mcp'.
    """
    try:
        from aistemsplitter.mcp import http as streamable
        from aistemsplitter.mcp.folders import Folders
        from aistemsplitter.mcp.server import serve_local, serve_stdio
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "pydantic", "uvicorn"):
            raise
        message = "the MCP server is not installed: pip install 'aistemsplitter[mcp]'"
        raise ConfigurationError(message) from None
    if local and (http or key or base_url):
        raise InputError("--local does not go with --http, --key or --base-url")
    if http is None:
        songs, stems = folder or [Path()], out or Path("stems")
        if local:
            anyio.run(serve_local, songs, stems)
        else:
            anyio.run(serve_stdio, key, base_url, Folders(songs, stems))
        return
    if key is not None:
        raise InputError("--key does not go with --http: callers send their own keys")
    folders = Folders(folder or [], out, suggests=False)  # keys are not verified yet
    with streamable.listen(http) as listener, show.interruptible("the server has stopped"):
        host, port = listener.getsockname()[:2]
        show.message(f"Serving http://{f'[{host}]' if ':' in host else host}:{port}/mcp")
        anyio.run(streamable.serve_http, listener, allow_host or [], base_url, folders)
