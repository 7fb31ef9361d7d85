"""Carries operations out on an event loop, asyncio's or trio's."""

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
from aistemsplitter._http.connections import CLOSED, Network
from aistemsplitter._http.exchange import LIBRARY_ERRORS, build, failure_of, headers_of, left
from aistemsplitter._http.stopping import Stopped, raise_first

T = TypeVar("T")


class AsyncDriver:
    """Carries operations out on the running event loop; file I/O in worker threads."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._closed = False
        # Built at once, so that wrong settings are reported where the client is constructed.
        self._unused: httpx2.AsyncClient | None = network.async_client()
        self._clients: WeakKeyDictionary[Any, tuple[int, httpx2.AsyncClient]] = WeakKeyDictionary()

    async def close(self) -> None:
        """Close the running event loop's connections, and drop those of loops that ended.

        Those of the caller's own ``http_client`` stay open.
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
                if not ended:  # it may have files to close and remove
                    await anyio.to_thread.run_sync(operation.close)
                for stream in streams:
                    await stream.source.close()

    def _client(self) -> httpx2.AsyncClient:
        """Return the HTTP client of the running event loop and this process.

        A connection belongs to the loop on which it was opened; those of a loop that has ended
        cannot be used, nor closed. After a fork, both processes would read from the same ones.
        """
        if self._closed:
            raise ClientClosed(CLOSED)
        loop = _running_loop()
        pid, client = self._clients.get(loop, (0, None))
        if client is None or pid != os.getpid():
            for other in list(self._clients):
                if isinstance(other, asyncio.AbstractEventLoop) and other.is_closed():
                    self._clients.pop(other, None)
            client, self._unused = self._unused or self._network.async_client(), None
            self._clients[loop] = (os.getpid(), client)
        if client.is_closed:
            raise ClientClosed(CLOSED)
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
                operation.close()  # no file is open yet if it was never started

        async with anyio.create_task_group() as group:
            for index, operation in enumerate(operations):
                group.start_soon(one, index, operation)
        raise_first(errors)
        return results


def _running_loop() -> Any:
    """Return the running event loop, or trio's token for it."""
    token = anyio.lowlevel.current_token()
    return getattr(token, "native_token", token)  # anyio before 4.11 has no token of its own


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
    """Call a function that may block in a worker thread; never return before it has ended.

    anyio waits for the thread when its own scopes are cancelled. A cancellation of the task by
    asyncio does not wait, and the cleanup must not meet a thread that still writes to the file.
    """
    running = threading.Lock()
    dropped = False

    def turn() -> T:
        with running:
            if dropped:
                raise Stopped  # the result is not awaited any more
            return work()

    try:
        return await anyio.to_thread.run_sync(turn)
    finally:
        with running:
            dropped = True


class _Source:
    """The body of a response, decoded or as it arrived."""

    def __init__(self, response: httpx2.Response, *, decoded: bool = False) -> None:
        self._response = response
        self._begun = False
        self._chunks = response.aiter_bytes() if decoded else response.aiter_raw()

    async def read(self) -> bytes:
        self._begun = True
        return await anext(self._chunks, b"")

    async def close(self) -> None:
        if self._begun and not self._response.is_closed:
            # The body is read by generators of the HTTP library that are nested in each other.
            # Closing the outermost leaves the others to the garbage collector, of which trio warns.
            # A cancelled read ends them all, and the connection with them.
            with (
                contextlib.suppress(httpx2.RequestError, httpx2.StreamError),
                anyio.CancelScope(shield=True) as scope,
            ):
                scope.cancel()
                while await anext(self._chunks, b""):
                    pass
        await self._response.aclose()
