"""Carries operations out on an event loop, asyncio's or trio's."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
import httpx2

from aistemsplitter._effects import (
    Blocking,
    Body,
    Close,
    Gather,
    Open,
    Operation,
    Read,
    Reply,
    Request,
    Send,
    Sleep,
    Stream,
    Transport,
)
from aistemsplitter._http import exchange
from aistemsplitter._http.direct import Rest, rest_of
from aistemsplitter._http.exchange import BROKEN, build, failure_of, headers_of, left, read_timeout
from aistemsplitter._http.sockets import read_large_pieces
from aistemsplitter._http.stopping import Stopped, raise_first
from aistemsplitter._secret import Secret

T = TypeVar("T")


class AsyncDriver:
    """Carries operations out on the running event loop, asyncio's or trio's; files off it."""

    def __init__(self, key: Secret, transport: Transport | None = None) -> None:
        self._key = key
        self._client = httpx2.AsyncClient(
            **exchange.options(), transport=exchange.mock(transport) if transport else None
        )
        read_large_pieces(self._client)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def run(self, operation: Operation[T]) -> T:
        """The operation's result, or its error."""
        streams: list[Stream] = []
        step: Callable[[], Any] = partial(operation.send, None)
        try:
            while True:
                try:
                    effect = step()
                except StopIteration as end:
                    return cast(T, end.value)
                try:
                    step = partial(operation.send, await self._carry_out(effect, streams))
                except Exception as problem:
                    step = partial(operation.throw, problem)
        finally:
            operation.close()
            with anyio.CancelScope(shield=True):  # closing must not be cut short by the cancel
                for stream in streams:
                    await stream.source.close()

    async def _carry_out(self, effect: object, streams: list[Stream]) -> object:
        match effect:
            case Send(request):
                return await self._send(request)
            case Open(request):
                response = await self._open(request)
                source = _AsyncSource(response)
                streams.append(Stream(response.status_code, headers_of(response), source, request))
                return streams[-1]
            case Read(stream):
                return await self._read(stream)
            case Close(stream):
                await stream.source.close()
            case Sleep(seconds):
                await anyio.sleep(seconds)
            case Blocking(work):
                return await _off_loop(work)
            case Gather(operations, bound):
                return await self._gather(operations, bound)
        return None

    async def _open(self, request: Request) -> httpx2.Response:
        body = request.body
        content = _async_flow(body) if isinstance(body, Body) else body
        built = build(request, self._key, content)
        try:
            with _deadline(request):
                return await self._client.send(built, stream=True)
        except (httpx2.RequestError, TimeoutError) as error:
            failure = failure_of(error, request)
        raise failure

    async def _send(self, request: Request) -> Reply:
        response = await self._open(request)
        source = _AsyncSource(response, decoded=True)
        body = bytearray()
        try:
            with _deadline(request):
                while chunk := await source.read(request.timeouts.read):
                    exchange.grow(body, chunk)
            return Reply(response.status_code, headers_of(response), bytes(body))
        except (httpx2.RequestError, httpx2.StreamError, TimeoutError) as error:
            failure = failure_of(error, request)
        finally:
            with anyio.CancelScope(shield=True):
                await source.close()
        raise failure

    async def _read(self, stream: Stream) -> bytes:
        try:
            with _deadline(stream.request):
                return cast(bytes, await stream.source.read(read_timeout(stream.request)))
        except BROKEN as error:
            failure = failure_of(error, stream.request)
        raise failure

    async def _gather(self, operations: tuple[Operation[Any], ...], bound: int) -> list[Any]:
        results: list[Any] = [None] * len(operations)
        errors: list[BaseException | None] = []
        turns = anyio.CapacityLimiter(max(1, bound))

        async def one(index: int, operation: Operation[Any]) -> None:
            try:
                async with turns:
                    results[index] = await self.run(operation)
            except Exception as error:
                errors.append(error)
                group.cancel_scope.cancel()
            finally:
                operation.close()  # where it never had its turn

        async with anyio.create_task_group() as group:
            for index, operation in enumerate(operations):
                group.start_soon(one, index, operation)
        raise_first(errors)
        return results


@contextlib.contextmanager
def _deadline(request: Request) -> Iterator[None]:
    seconds = left(request)
    if seconds == float("inf"):
        yield
    else:
        with anyio.fail_after(seconds):
            yield


async def _async_flow(body: Body) -> AsyncIterator[bytes]:
    chunks = body.chunks()
    sent = 0
    while chunk := await _off_loop(partial(next, chunks, b"")):
        yield chunk
        sent += len(chunk)
        body.on_sent(sent)


async def _off_loop(work: Callable[[], T]) -> T:
    """Call what may block in a worker thread; when this is left, it is not running any more.

    anyio sees to that for its own cancellations. One by asyncio's tasks passes its shield, and
    whoever cleans up a file next must not meet a thread that still writes to it.
    """
    running = threading.Lock()
    dropped = False

    def turn() -> T:
        with running:
            if dropped:
                raise Stopped  # nobody hears it
            return work()

    try:
        return await anyio.to_thread.run_sync(turn)
    finally:
        with running:
            dropped = True


class _AsyncSource:
    """An answer's body, decoded or as it came."""

    def __init__(self, response: httpx2.Response, *, decoded: bool = False) -> None:
        self._response = response
        self._begun = decoded  # what is decoded comes by the parser to its end
        self._chunks = response.aiter_bytes() if decoded else response.aiter_raw()
        self._rest: Rest | None = None

    async def read(self, timeout: float) -> bytes:
        if self._rest:
            return self._rest.count(await self._rest.read(timeout)) if self._rest.left else b""
        begun, self._begun = self._begun, True
        piece = await anext(self._chunks, b"")
        if not begun:
            self._rest = rest_of(self._response, piece)
        return piece

    async def close(self) -> None:
        if self._begun and not self._response.is_closed:
            # Under the body lie generators inside generators of the HTTP library. Closing the
            # outermost leaves the others to the collector, of which trio complains. A cancelled
            # read ends them all, and the connection with them.
            with (
                contextlib.suppress(httpx2.RequestError, httpx2.StreamError),
                anyio.CancelScope(shield=True) as scope,
            ):
                scope.cancel()
                while await anext(self._chunks, b""):
                    pass
        await self._response.aclose()
