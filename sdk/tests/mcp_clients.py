"""Calls of an MCP server by the official client library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from aistemsplitter import AsyncAiStemSplitter
from aistemsplitter.mcp.folders import Folders
from aistemsplitter.mcp.server import service_server
from aistemsplitter.testing import FakeService
from clients import KEY


class Caller:
    """Calls of one server in the same process, whose service is a fake.

    Attributes:
        progress: Progress notifications of all calls: fraction, total and message.
    """

    def __init__(self, service: FakeService, songs: list[Path], out: Path | None) -> None:
        self._service = service
        self._folders = Folders(songs, out)
        self.progress: list[tuple[float, float | None, str | None]] = []

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that succeeds, and return its structured result."""
        result = self._call(tool, arguments)
        assert not result.is_error, result.content
        return dict(result.structured_content)

    def error(self, tool: str, **arguments: Any) -> str:
        """Call a tool that fails, and return the message."""
        result = self._call(tool, arguments)
        assert result.is_error
        return str(result.content[0].text)

    def tools(self) -> dict[str, Any]:
        """Return the tools by their names."""
        return anyio.run(self._with_client, self._list)

    def _call(self, tool: str, arguments: dict[str, Any]) -> Any:
        async def call(client: Client) -> Any:
            return await client.call_tool(tool, arguments, progress_callback=self._note)

        return anyio.run(self._with_client, call)

    async def _note(self, done: float, total: float | None, message: str | None) -> None:
        self.progress.append((done, total, message))

    async def _list(self, client: Client) -> dict[str, Any]:
        return {tool.name: tool for tool in (await client.list_tools()).tools}

    async def _with_client(self, action: Any) -> Any:
        async with (
            AsyncAiStemSplitter(KEY, transport=self._service) as splitter,
            Client(service_server(lambda _: splitter, self._folders)) as client,
        ):
            return await action(client)
