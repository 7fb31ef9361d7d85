"""The MCP server: which tools there are, and how a client calls them over standard input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations

from aistemsplitter._async_client import AsyncAiStemSplitter
from aistemsplitter._version import __version__
from aistemsplitter.mcp import engine
from aistemsplitter.mcp.folders import Folders
from aistemsplitter.mcp.local import LocalTools
from aistemsplitter.mcp.tools import ServiceTools


def _hints(
    *, reads: bool = False, destroys: bool = False, repeatable: bool = True, outside: bool = True
) -> ToolAnnotations:
    """Return annotations by which a program decides whether to ask the user first."""
    return ToolAnnotations(
        read_only_hint=reads,
        destructive_hint=destroys,
        idempotent_hint=repeatable,
        open_world_hint=outside,
    )


_READS = _hints(reads=True)
_SUBMITS = _hints(repeatable=False)
_WRITES = _hints()
_DESTROYS = _hints(destroys=True)

INSTRUCTIONS = (
    "Splits songs into stems: vocals, drums, bass and the rest. Start with {start}, which returns a"
    " split_id, then call wait_for_split until the split is done."
)


def service_server(
    client_of: Callable[[Context[Any, Any]], AsyncAiStemSplitter], folders: Folders
) -> MCPServer[Any]:
    """Return the server of the service's tools. Those for files exist if there are folders.

    Args:
        client_of: Function that returns the client of a call's account.
        folders: Folders in which files may be read and written.
    """
    tools = ServiceTools(client_of, folders)
    start = "split_url"
    if folders.songs:
        start = f"split_file (for audio files in {_listed(folders)}) or split_url"
    server = _server(start)
    if folders.songs:
        server.add_tool(tools.split_file, title="Split a file", annotations=_SUBMITS)
    server.add_tool(tools.split_url, title="Split a URL", annotations=_SUBMITS)
    server.add_tool(tools.wait_for_split, title="Wait for a split", annotations=_WRITES)
    if folders.out is not None:
        server.add_tool(tools.download_stems, title="Download stems", annotations=_WRITES)
    server.add_tool(tools.get_split, title="Get a split", annotations=_READS)
    server.add_tool(tools.list_splits, title="List splits", annotations=_READS)
    server.add_tool(tools.list_models, title="List models", annotations=_READS)
    server.add_tool(tools.get_credits, title="Get credits", annotations=_READS)
    server.add_tool(tools.cancel_split, title="Cancel a split", annotations=_DESTROYS)
    server.add_tool(tools.delete_split, title="Delete a split", annotations=_DESTROYS)
    return server


def local_server(tools: LocalTools, folders: Folders) -> MCPServer[Any]:
    """Return the server of the tools that need no service."""
    server = _server(f"split_file (for audio files in {_listed(folders)})")
    reads, writes = _hints(reads=True, outside=False), _hints(outside=False)
    server.add_tool(tools.split_file, title="Split a file", annotations=writes)
    server.add_tool(tools.wait_for_split, title="Wait for a split", annotations=reads)
    server.add_tool(tools.get_split, title="Get a split", annotations=reads)
    server.add_tool(tools.list_splits, title="List splits", annotations=reads)
    server.add_tool(tools.list_models, title="List models", annotations=reads)
    destroys = _hints(destroys=True, outside=False)
    server.add_tool(tools.cancel_split, title="Cancel a split", annotations=destroys)
    return server


def _server(start: str) -> MCPServer[Any]:
    return MCPServer(
        "aistemsplitter",
        title="AI Stem Splitter",
        instructions=INSTRUCTIONS.format(start=start),
        version=__version__,
        log_level="WARNING",
    )


def _listed(folders: Folders) -> str:
    return ", ".join(map(str, folders.songs))


async def serve_stdio(key: str | None, base_url: str | None, folders: Folders) -> None:
    """Serve one client on standard input and output, until it closes them."""
    async with AsyncAiStemSplitter(key, base_url=base_url) as client:
        await service_server(lambda _: client, folders).run_stdio_async()


async def serve_local(songs: Sequence[Path], out: Path) -> None:
    """Serve one client on standard input and output, without a service.

    Args:
        songs: Folders in which audio files may be read.
        out: Folder for the stems.

    Raises:
        ConfigurationError: The engine is not installed, or a folder does not exist.
    """
    engine.check_installed()
    folders = Folders(songs, out)
    async with anyio.create_task_group() as tasks:
        tools = LocalTools(folders, tasks)
        await local_server(tools, folders).run_stdio_async()
        tasks.cancel_scope.cancel()
