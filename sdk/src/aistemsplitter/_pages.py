"""Pages of lists; iterating one continues across the following pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from aistemsplitter._errors import InputError
from aistemsplitter._models import Serializable, Split
from aistemsplitter._upload_models import UploadInfo
from aistemsplitter._webhook_models import WebhookEndpoint
from aistemsplitter._webhooks import WebhookEvent

Item = TypeVar("Item", bound=Serializable)
Item_co = TypeVar("Item_co", bound=Serializable, covariant=True)
Page = TypeVar("Page", bound="_AsyncPage[Any]")


class _Data(Protocol[Item_co]):
    """The decoded data of a page."""

    @property
    def items(self) -> tuple[Item_co, ...]: ...
    @property
    def next_cursor(self) -> str | None: ...
    @property
    def raw(self) -> Any: ...


class _Page(Generic[Item]):
    """Data of a page, without the client that reads the next page."""

    _CALL: ClassVar[str]  # that returns such pages

    def __init__(self, data: _Data[Item]) -> None:
        self.items = data.items
        self.next_cursor = data.next_cursor
        self.raw = data.raw

    def has_next_page(self) -> bool:
        """Return True unless this is the last page."""
        return self.next_cursor is not None

    def to_dict(self) -> dict[str, Any]:
        """Return ``items`` and ``next_cursor`` as values that ``json.dumps`` accepts."""
        items = [item.to_dict() for item in self.items]
        return {"items": items, "next_cursor": self.next_cursor}

    def _detached(self) -> InputError:
        call = f"{self._CALL}(cursor=page.next_cursor)"
        return InputError(f"an unpickled page has no client: call {call}")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_read": None}  # a client cannot be pickled

    def __repr__(self) -> str:
        return f"{type(self).__name__}(items={self.items!r}, next_cursor={self.next_cursor!r})"


class _SyncPage(_Page[Item]):
    def __init__(self, data: _Data[Item], read: Callable[[str], Self]) -> None:
        super().__init__(data)
        self._read: Callable[[str], Self] | None = read

    def next_page(self) -> Self | None:
        """Return the next page; None after the last."""
        if self.next_cursor is None:
            return None
        if self._read is None:
            raise self._detached()
        return self._read(self.next_cursor)

    def __iter__(self) -> Iterator[Item]:
        page: _SyncPage[Item] | None = self
        while page is not None:
            yield from page.items
            page = page.next_page()


class _AsyncPage(_Page[Item]):
    def __init__(self, data: _Data[Item], read: Callable[[str], Awaitable[Self]]) -> None:
        super().__init__(data)
        self._read: Callable[[str], Awaitable[Self]] | None = read

    async def next_page(self) -> Self | None:
        """Return the next page; None after the last."""
        if self.next_cursor is None:
            return None
        if self._read is None:
            raise self._detached()
        return await self._read(self.next_cursor)

    async def __aiter__(self) -> AsyncIterator[Item]:
        page: _AsyncPage[Item] | None = self
        while page is not None:
            for item in page.items:
                yield item
            page = await page.next_page()


class SplitPage(_SyncPage[Split]):
    """A page of splits, newest first. Iterating it continues across the following pages.

    A page can be pickled. An unpickled page has no client and cannot read the next page.

    Attributes:
        items: Splits of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    _CALL = "list_splits"


class AsyncSplitPage(_AsyncPage[Split]):
    """A page of splits, newest first. Iterating it continues across the following pages.

    A page can be pickled. An unpickled page has no client and cannot read the next page.

    Attributes:
        items: Splits of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    _CALL = "list_splits"


class UploadPage(_SyncPage[UploadInfo]):
    """A page of uploads, newest first. It works like a page of splits.

    Attributes:
        items: Uploads of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    _CALL = "list_uploads"


class AsyncUploadPage(_AsyncPage[UploadInfo]):
    """A page of uploads, newest first. It works like a page of splits.

    Attributes:
        items: Uploads of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    _CALL = "list_uploads"


class WebhookEndpointPage(_SyncPage[WebhookEndpoint]):
    """A page of endpoints, newest first. It works like a page of splits.

    Attributes:
        items: Endpoints of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    _CALL = "list_webhook_endpoints"


class AsyncWebhookEndpointPage(_AsyncPage[WebhookEndpoint]):
    """A page of endpoints, newest first. It works like a page of splits.

    Attributes:
        items: Endpoints of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    _CALL = "list_webhook_endpoints"


class EventPage(_SyncPage[WebhookEvent]):
    """A page of events, newest first. It works like a page of splits.

    Attributes:
        items: Events of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    _CALL = "list_events"


class AsyncEventPage(_AsyncPage[WebhookEvent]):
    """A page of events, newest first. It works like a page of splits.

    Attributes:
        items: Events of this page only.
        next_cursor: Cursor of the next page; None on the last page.
        raw: JSON of the page as the service sent it.
    """

    _CALL = "list_events"


class _AsyncList(Coroutine[Any, Any, Page], Generic[Page, Item]):
    """The coroutine that reads the first page, which is also an iterator across all pages."""

    def __init__(self, read: Callable[[], Coroutine[Any, Any, Page]]) -> None:
        self._read = read
        self._running: Coroutine[Any, Any, Page] | None = None

    def __await__(self) -> Generator[Any, Any, Page]:
        return self._read().__await__()

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for item in await self:
            yield item

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


class AsyncSplits(_AsyncList[AsyncSplitPage, Split]):
    """A list to ``await`` for its first page, or to iterate with ``async for`` across all pages.

    It is also a coroutine, so ``asyncio.create_task`` and ``asyncio.gather`` accept it.
    """


class AsyncUploads(_AsyncList[AsyncUploadPage, UploadInfo]):
    """A list to ``await`` for its first page, or to iterate with ``async for`` across all pages.

    It is also a coroutine, so ``asyncio.create_task`` and ``asyncio.gather`` accept it.
    """


class AsyncWebhookEndpoints(_AsyncList[AsyncWebhookEndpointPage, WebhookEndpoint]):
    """A list to ``await`` for its first page, or to iterate with ``async for`` across all pages.

    It is also a coroutine, so ``asyncio.create_task`` and ``asyncio.gather`` accept it.
    """


class AsyncEvents(_AsyncList[AsyncEventPage, WebhookEvent]):
    """A list to ``await`` for its first page, or to iterate with ``async for`` across all pages.

    It is also a coroutine, so ``asyncio.create_task`` and ``asyncio.gather`` accept it.
    """
