"""A page of splits, and from it all that follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from aistemsplitter._models import PageData, Split


class SplitPage:
    """One page of splits, newest first. Iterating goes on across the pages that follow.

    Attributes:
        items: the splits of this page alone.
        next_cursor: where the next page begins, None on the last.
    """

    def __init__(self, data: PageData, turn: Callable[[str], SplitPage]) -> None:
        self.items = data.items
        self.next_cursor = data.next_cursor
        self.raw = data.raw
        self._turn = turn

    def next_page(self) -> SplitPage | None:
        """The page that follows, None after the last."""
        return self._turn(self.next_cursor) if self.next_cursor else None

    def __iter__(self) -> Iterator[Split]:
        page: SplitPage | None = self
        while page is not None:
            yield from page.items
            page = page.next_page()

    def __repr__(self) -> str:
        return f"SplitPage(items={self.items!r}, next_cursor={self.next_cursor!r})"


class AsyncSplitPage:
    """One page of splits, newest first. Iterating goes on across the pages that follow.

    Attributes:
        items: the splits of this page alone.
        next_cursor: where the next page begins, None on the last.
    """

    def __init__(self, data: PageData, turn: Callable[[str], Awaitable[AsyncSplitPage]]) -> None:
        self.items = data.items
        self.next_cursor = data.next_cursor
        self.raw = data.raw
        self._turn = turn

    async def next_page(self) -> AsyncSplitPage | None:
        """The page that follows, None after the last."""
        return await self._turn(self.next_cursor) if self.next_cursor else None

    async def __aiter__(self) -> AsyncIterator[Split]:
        page: AsyncSplitPage | None = self
        while page is not None:
            for split in page.items:
                yield split
            page = await page.next_page()

    def __repr__(self) -> str:
        return f"AsyncSplitPage(items={self.items!r}, next_cursor={self.next_cursor!r})"
