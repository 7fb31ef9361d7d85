"""Progress notifications of a tool."""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import Context

from aistemsplitter._models import Split, TransferProgress

_SEPARATION = 0.9  # share of the separation in the progress of wait_for_split


class Progress:
    """Progress of one call, which never decreases, as the protocol demands."""

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context = context
        self._last = -1.0
        self._bytes: dict[str, TransferProgress] = {}

    async def upload(self, transfer: TransferProgress) -> None:
        """Report the progress of an upload."""
        if transfer.bytes_total:
            await self._report(transfer.bytes_done / transfer.bytes_total, "uploading")

    async def separation(self, split: Split) -> None:
        """Report the progress of a split."""
        text = split.status
        if split.queue_position:
            text = f"{text}, {split.queue_position} ahead"
        await self._report(_SEPARATION * (split.progress or 0.0), text)

    async def download(self, transfer: TransferProgress) -> None:
        """Report the progress of one of several downloads."""
        self._bytes[transfer.name] = transfer
        total = sum(each.bytes_total or 0 for each in self._bytes.values())
        if total:
            done = sum(each.bytes_done for each in self._bytes.values()) / total
            await self._report(_SEPARATION + (1 - _SEPARATION) * done, "downloading")

    async def _report(self, fraction: float, text: str) -> None:
        if fraction > self._last:
            self._last = fraction
            await self._context.report_progress(round(fraction, 4), 1.0, text)
