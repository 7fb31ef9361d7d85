"""Driver of the asynchronous client, for asyncio and trio."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2

from aistemsplitter._effects import (
    Await,
    Blocking,
    Body,
    Close,
    Gather,
    Listener,
    Notify,
    Open,
    Operation,
    Read,
    Reply,
    Request,
    Send,
    Sleep,
    Stream,
)
from aistemsplitter._errors import ClientClosed
from aistemsplitter._http import exchange
from aistemsplitter._http.connections import HTTP_CLIENT_CLOSED, Network
from aistemsplitter._http.exchange import LIBRARY_ERRORS, build, failure_of, headers_of, left
from aistemsplitter._http.stopping import Stopped, raise_first

T = TypeVar("T")


class AsyncDriver:
    """Runs operations on the running event loop, with file I/O in worker threads."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._closed = False
        # Created at once, so that invalid settings are reported where the client is constructed.
        self._unused: httpx2.AsyncClient | None = network.async_client()
        self._clients: WeakKeyDictionary[Any, tuple[int, httpx2.AsyncClient]] = WeakKeyDictionary()

    async def close(self) -> None:
        """Close the connections of the running event loop and drop those of other loops.

        The connections of the caller's own ``http_client`` stay open.
        """
        self._closed = True
        pid, client = self._clients.pop(_running_loop(), (0, None))
        self._clients.clear()
        owned = self._network.http_client is None
        if client is not None and pid == os.getpid() and owned:
            await client.aclose()

    async def run(self, operation: Operation[T]) -> T:
        """Run an operation and return its result."""
        streams: list[Stream] = []
        step: Callable[[], Any] = partial(operation.send, None)
        ended = False
        try:
            while True:
                try:
                    effect = step()
                except BaseException as end:
                    ended = True
                    if isinstance(end, StopIteration):
                        return cast(T, end.value)
                    raise
                try:
                    step = partial(operation.send, await self._carry_out(effect, streams))
                except Exception as problem:
                    step = partial(operation.throw, problem)
        finally:
            with anyio.CancelScope(shield=True):  # a cancellation must not interrupt the cleanup
                if not ended:  # the operation may have files to close and remove
                    await anyio.to_thread.run_sync(operation.close)
                for stream in streams:
                    await stream.source.close()

    def _client(self) -> httpx2.AsyncClient:
        """Return the HTTP client of the running event loop and this process.

        A connection belongs to the loop on which it was opened; once the loop has ended, it can
        neither be used nor closed. After a fork, both processes would read from the same
        connections.
        """
        if self._closed:
            raise ClientClosed
        loop = _running_loop()
        pid, client = self._clients.get(loop, (0, None))
        if client is None or pid != os.getpid():
            for other in list(self._clients):
                if isinstance(other, asyncio.AbstractEventLoop) and other.is_closed():
                    self._clients.pop(other, None)
            client, self._unused = self._unused or self._network.async_client(), None
            self._clients[loop] = (os.getpid(), client)
        if client.is_closed:
            raise ClientClosed(HTTP_CLIENT_CLOSED)
        return client

    async def _carry_out(self, effect: object, streams: list[Stream]) -> object:
        match effect:
            case Send(request):
                return await self._send(request)
            case Open(request, within):
                response = await self._open(request, within)
                source = _Source(response)
                streams.append(Stream(response.status_code, headers_of(response), source, request))
                return streams[-1]
            case Read(stream, within):
                return await self._read(stream, within)
            case Close(stream):
                await stream.source.close()
            case Sleep(seconds):
                await anyio.sleep(seconds)
            case Blocking(work):
                return await _off_loop(work)
            case Await(start, _):
                return await start()
            case Notify(listener, value):
                await _notify(listener, value)
            case Gather(operations, bound):
                return await self._gather(operations, bound)
        return None

    async def _open(self, request: Request, within: float | None = None) -> httpx2.Response:
        body = request.body
        content = _async_flow(body) if isinstance(body, Body) else body
        built = build(request, content)
        try:
            with _deadline(request, within), exchange.log_without_locations():
                return await self._client().send(built, stream=True)
        except LIBRARY_ERRORS as error:
            failure = failure_of(error, request, within)
        raise failure

    async def _send(self, request: Request) -> Reply:
        response = await self._open(request)
        source = _Source(response, decoded=True)
        body = bytearray()
        try:
            with _deadline(request):
                while chunk := await source.read():
                    exchange.grow(body, chunk)
            return Reply(response.status_code, headers_of(response), bytes(body))
        except LIBRARY_ERRORS as error:
            failure = failure_of(error, request)
        finally:
            with anyio.CancelScope(shield=True):
                await source.close()
        raise failure

    async def _read(self, stream: Stream, within: float | None) -> bytes:
        try:
            with _deadline(stream.request, within):
                return cast(bytes, await stream.source.read())
        except LIBRARY_ERRORS as error:
            failure = failure_of(error, stream.request, within)
        raise failure

    async def _gather(self, operations: tuple[Operation[Any], ...], bound: int) -> list[Any]:
        results: list[Any] = [None] * len(operations)
        errors: list[BaseException | None] = []
        places = anyio.CapacityLimiter(max(1, bound))

        async def one(index: int, operation: Operation[Any]) -> None:
            try:
                async with places:
                    results[index] = await self.run(operation)
            except Exception as error:
                errors.append(error)
                group.cancel_scope.cancel()
            finally:
                operation.close()  # does not block: an operation that was not started has no files

        async with anyio.create_task_group() as group:
            for index, operation in enumerate(operations):
                group.start_soon(one, index, operation)
        raise_first(errors)
        return results


def _running_loop() -> Any:
    """Return the running asyncio event loop, or trio's token."""
    return anyio.lowlevel.current_token().native_token


async def _notify(listener: Listener[Any], value: Any) -> None:
    listener.task_lock = listener.task_lock or anyio.Lock()
    async with listener.task_lock:
        result = listener.callback(value)  # type: ignore[misc]
        if inspect.isawaitable(result):
            await result


@contextlib.contextmanager
def _deadline(request: Request, within: float | None = None) -> Iterator[None]:
    seconds = min(left(request), float("inf") if within is None else within)
    with anyio.fail_after(None if seconds == float("inf") else seconds):
        yield


async def _async_flow(body: Body) -> AsyncIterator[bytes]:
    chunks = body.chunks()
    sent = 0
    while chunk := await _off_loop(partial(next, chunks, b"")):
        yield chunk
        sent += len(chunk)
        result = body.on_sent(sent)
        if inspect.isawaitable(result):
            await result


async def _off_loop(work: Callable[[], T]) -> T:
    """Call a function that may block in a worker thread, and return only after it has ended.

    anyio waits for the thread when one of its own scopes is cancelled. When asyncio cancels the
    task, nothing waits, and the cleanup would run while the thread still writes to the file.
    """
    running = threading.Lock()
    dropped = False

    def turn() -> T:
        with running:
            if dropped:
                raise Stopped  # the task was cancelled before the thread started
            return work()

    try:
        return await anyio.to_thread.run_sync(turn)
    finally:
        with running:
            dropped = True


class _Source:
    """Body of a response, decompressed or as it arrives."""

    def __init__(self, response: httpx2.Response, *, decoded: bool = False) -> None:
        self._response = response
        self._begun = False
        self._chunks = response.aiter_bytes() if decoded else response.aiter_raw()

    async def read(self) -> bytes:
        self._begun = True
        return await anext(self._chunks, b"")

    async def close(self) -> None:
        if self._begun and not self._response.is_closed:
            # The HTTP library reads the body with nested generators. Closing the outermost leaves
            # the others to the garbage collector, about which trio warns. A cancelled read ends
            # all of them, and the connection.
            with (
                contextlib.suppress(httpx2.RequestError, httpx2.StreamError),
                anyio.CancelScope(shield=True) as scope,
            ):
                scope.cancel()
                while await anext(self._chunks, b""):
                    pass
        await self._response.aclose()
