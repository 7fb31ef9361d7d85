"""The same as in ``_sync_calls.py``, for asyncio and trio."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aistemsplitter._base import BaseClient
from aistemsplitter._effects import Operation

if TYPE_CHECKING:
    from aistemsplitter._http import AsyncDriver

T = TypeVar("T")


class AsyncCalls(BaseClient):
    """A client without calls; a base class of the client."""

    _driver: AsyncDriver

    async def _run(self, operation: Operation[T]) -> T:
        self._check_open(operation)
        return await self._driver.run(operation)
