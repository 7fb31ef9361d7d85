"""The same as in ``_sync_calls.py``, for asyncio and trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from aistemsplitter._base import BaseClient
from aistemsplitter._effects import Operation

if TYPE_CHECKING:
    from aistemsplitter._http import AsyncDriver

T = TypeVar("T")
Page = TypeVar("Page")


class AsyncCalls(BaseClient):
    """A client without calls; a base class of the client."""

    _driver: AsyncDriver

    async def _run(self, operation: Operation[T]) -> T:
        self._check_open(operation)
        return await self._driver.run(operation)

    async def _page(
        self,
        kind: Callable[[T, Callable[[str], Awaitable[Page]]], Page],
        operation: Callable[[str | None], Operation[T]],
        cursor: str | None,
    ) -> Page:
        """Return the page at a cursor, able to read the following pages.

        Args:
            kind: Class of the page.
            operation: Operation that returns the data of the page at a cursor.
            cursor: Cursor of the page; None for the first.
        """
        data = await self._run(operation(cursor))
        return kind(data, lambda following: self._page(kind, operation, following))
