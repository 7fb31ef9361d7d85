"""Pages of splits; iterating one continues across the following pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any

from aistemsplitter._errors import InputError
from aistemsplitter._models import PageData, Split


class _Page:
    """Data of a page, without the client that reads the next page."""

    def __init__(self, data: PageData) -> None:
        self.items = data.items
        self.next_cursor = data.next_cursor
        self.raw = data.raw

    def has_next_page(self) -> bool:
        """Return True unless this is the last page."""
        return self.next_cursor is not None

    def to_dict(self) -> dict[str, Any]:
        """Return ``items`` and ``next_cursor`` as values that ``json.dumps`` accepts."""
        return PageData(items=self.items, next_cursor=self.next_cursor).to_dict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_read": None}  # a client cannot be pickled

    def __repr__(self) -> str:
        return f"{type(self).__name__}(items={self.items!r}, next_cursor={self.next_cursor!r})"


def _detached() -> InputError:
    return InputError("an unpickled page has no client: call list_splits(cursor=page.next_cursor)")


class SplitPage(_Page):
    """A page of splits, newest first. Iterating it continues across the following pages.

    A page can be pickled. An unpickled page has no client and cannot read the next page.

    Attributes:
        items: Splits of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    def __init__(self, data: PageData, read: Callable[[str], SplitPage]) -> None:
        super().__init__(data)
        self._read: Callable[[str], SplitPage] | None = read

    def next_page(self) -> SplitPage | None:
        """Return the next page; None after the last."""
        if self.next_cursor is None:
            return None
        if self._read is None:
            raise _detached()
        return self._read(self.next_cursor)

    def __iter__(self) -> Iterator[Split]:
        page: SplitPage | None = self
        while page is not None:
            yield from page.items
            page = page.next_page()


class AsyncSplitPage(_Page):
    """A page of splits, newest first. Iterating it continues across the following pages.

    A page can be pickled. An unpickled page has no client and cannot read the next page.

    Attributes:
        items: Splits of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    def __init__(self, data: PageData, read: Callable[[str], Awaitable[AsyncSplitPage]]) -> None:
        super().__init__(data)
        self._read: Callable[[str], Awaitable[AsyncSplitPage]] | None = read

    async def next_page(self) -> AsyncSplitPage | None:
        """Return the next page; None after the last."""
        if self.next_cursor is None:
            return None
        if self._read is None:
            raise _detached()
        return await self._read(self.next_cursor)

    async def __aiter__(self) -> AsyncIterator[Split]:
        page: AsyncSplitPage | None = self
        while page is not None:
            for split in page.items:
                yield split
            page = await page.next_page()


class AsyncSplits(Coroutine[Any, Any, AsyncSplitPage]):
    """A list to ``await`` for its first page, or to iterate with ``async for`` across all pages.

    It is also a coroutine, so ``asyncio.create_task`` and ``asyncio.gather`` accept it.
    """

    def __init__(self, read: Callable[[], Coroutine[Any, Any, AsyncSplitPage]]) -> None:
        self._read = read
        self._running: Coroutine[Any, Any, AsyncSplitPage] | None = None

    def __await__(self) -> Generator[Any, Any, AsyncSplitPage]:
        return self._read().__await__()

    async def __aiter__(self) -> AsyncIterator[Split]:
        async for split in await self:
            yield split

    def send(self, value: Any) -> Any:
        """Resume the coroutine with a value."""
        if self._running is None:
            self._running = self._read()
        return self._running.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception in the coroutine."""
        if self._running is None:
            self._running = self._read()
        return self._running.throw(*error)

    def close(self) -> None:
        """Close the coroutine if it was started."""
        if self._running is not None:
            self._running.close()
