"""The two drivers: they carry out what the core asks for, by httpx2, known to this module alone.

Here alone the API key is put into a request, and here the HTTP library's exceptions end: each
becomes a Failure, raised outside the handler so that it drags no frames along in which a header
could be seen.
"""

from __future__ import annotations

import contextlib
import logging
import re
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
import httpcore2  # httpx2's own lower half
import httpx2

from aistemsplitter._direct import Rest, rest_of
from aistemsplitter._effects import (
    Blocking,
    Body,
    Close,
    Failure,
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
from aistemsplitter._secret import Secret
from aistemsplitter._version import __version__

T = TypeVar("T")

LARGEST_REPLY = 32 * 2**20  # bytes of an answer that is read whole
LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=64, keepalive_expiry=30.0)


#: What the library raises when a line breaks or is silent: from its parser, or below it.
BROKEN = (
    httpx2.RequestError,
    httpx2.StreamError,
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    TimeoutError,
    EOFError,
)


class _HidingLocations(logging.Filter):
    """Takes the targets of redirects out of the HTTP library's debug log: they may be signed."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str) and "location'" in record.msg.lower():
            record.msg = re.sub(r"(?i)(b'location', )b(['\"]).*?\2", r"\1b'...'", record.msg)
        return True


# The library tells its log of every header of an answer, and gives no way to have a say in it.
for _name in ("httpcore2.http11", "httpcore2.http2"):
    logging.getLogger(_name).addFilter(_HidingLocations())


class _Stopped(Exception):
    """Another operation of the same Gather has failed."""


class _Url(httpx2.URL):
    """A URL that the HTTP library can use and log without showing a signature."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc.decode('ascii')}/..."


def _options() -> dict[str, Any]:
    return {
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),  # none is kept
        "limits": LIMITS,
        "follow_redirects": False,
    }


def _built(request: Request, key: Secret, content: Any) -> httpx2.Request:
    headers = dict(request.headers)
    if isinstance(request.body, Body):
        headers["Content-Length"] = str(request.body.length)
    if request.authorized:
        headers["Authorization"] = f"Bearer {key.reveal()}"
    limits, left = request.timeouts, _left(request)
    timeouts = {
        "connect": min(limits.connect, left),
        "read": min(limits.read, left),
        "write": min(limits.write, left),
        "pool": min(limits.total, left),
    }
    try:
        built = httpx2.Request(
            request.method,
            request.url,
            headers={"User-Agent": f"aistemsplitter-python/{__version__}", **headers},
            content=content,
            extensions={"timeout": timeouts},
        )
        built.url = _Url(built.url)
    except (httpx2.InvalidURL, UnicodeError, ValueError, TypeError):
        pass
    else:
        return built
    raise Failure("connection", "the address cannot be used")


def _left(request: Request) -> float:
    """Seconds until the deadline; Failure if there are none."""
    if request.deadline is None:
        return float("inf")
    left = request.deadline - time.monotonic()
    if left <= 0:
        raise Failure("deadline", "out of time")
    return left


def _read_timeout(request: Request) -> float:
    return min(request.timeouts.read, _left(request))


def _failure(error: Exception, request: Request) -> Failure:
    """What an exception of the HTTP library comes to."""
    if isinstance(error, (httpx2.TimeoutException, httpcore2.TimeoutException, TimeoutError)):
        if request.deadline is not None and time.monotonic() >= request.deadline - 0.005:
            return Failure("deadline", "out of time")
        silent = f"silent for {request.timeouts.read:g} s"
        phases: dict[type[Exception], str] = {
            httpx2.ConnectTimeout: f"not reached within {request.timeouts.connect:g} s",
            httpx2.ReadTimeout: silent,
            httpcore2.ReadTimeout: silent,
            httpx2.WriteTimeout: f"took no bytes for {request.timeouts.write:g} s",
        }
        return Failure("timeout", phases.get(type(error), "no free connection"))
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return Failure("tls", getattr(cause, "verify_message", "") or cause.reason or "TLS")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.UnsupportedProtocol):
        return Failure("connection", "the address is not an http or https one")
    return Failure("connection", str(error) or type(error).__name__)


def _reply(response: httpx2.Response, body: bytes) -> Reply:
    return Reply(response.status_code, _headers(response), body)


def _headers(response: httpx2.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _mock(transport: Transport) -> httpx2.MockTransport:
    def answer(sent: httpx2.Request) -> httpx2.Response:
        # The true URL: _Url shows itself only in part.
        netloc, path = sent.url.netloc.decode("ascii"), sent.url.raw_path.decode("ascii")
        url = f"{sent.url.scheme}://{netloc}{path}"
        headers = {name.lower(): value for name, value in sent.headers.items()}
        request = Request(method=sent.method, url=url, headers=headers, body=sent.content)
        try:
            reply = transport(request)
        except ConnectionError as error:
            raise httpx2.ConnectError(str(error)) from None
        told = {"content-length": str(len(reply.body)), **reply.headers}
        return httpx2.Response(reply.status, headers=told, stream=httpx2.ByteStream(reply.body))

    return httpx2.MockTransport(answer)


class SyncDriver:
    """Carries operations out in the calling thread; safe to share between threads."""

    def __init__(self, key: Secret, transport: Transport | None = None) -> None:
        self._key = key
        self._client = httpx2.Client(
            **_options(), transport=_mock(transport) if transport else None
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def run(self, operation: Operation[T], stop: threading.Event | None = None) -> T:
        """The operation's result, or its error."""
        streams: list[Stream] = []
        step: Callable[[], Any] = partial(operation.send, None)
        try:
            while True:
                try:
                    effect = step()
                except StopIteration as end:
                    return cast(T, end.value)
                if stop and stop.is_set():
                    raise _Stopped
                try:
                    step = partial(operation.send, self._carry_out(effect, streams, stop))
                except Exception as problem:
                    step = partial(operation.throw, problem)
        finally:
            operation.close()
            for stream in streams:
                stream.source.close()

    def _carry_out(
        self, effect: object, streams: list[Stream], stop: threading.Event | None
    ) -> object:
        match effect:
            case Send(request):
                return self._send(request)
            case Open(request):
                response = self._open(request)
                source = _SyncSource(response)
                streams.append(Stream(response.status_code, _headers(response), source, request))
                return streams[-1]
            case Read(stream):
                return self._read(stream)
            case Close(stream):
                stream.source.close()
            case Sleep(seconds):
                if stop:
                    stop.wait(seconds)
                else:
                    time.sleep(seconds)
            case Blocking(work):
                return work()
            case Gather(operations, bound):
                return self._gather(operations, bound)
        return None

    def _open(self, request: Request) -> httpx2.Response:
        body = request.body
        content = _flow(body) if isinstance(body, Body) else body
        built = _built(request, self._key, content)
        try:
            return self._client.send(built, stream=True)
        except httpx2.RequestError as error:
            failure = _failure(error, request)
        raise failure

    def _send(self, request: Request) -> Reply:
        response = self._open(request)
        body = bytearray()
        try:
            for chunk in response.iter_bytes():
                body += chunk
                _left(request)
                if len(body) > LARGEST_REPLY:
                    raise Failure("connection", "the answer does not end")
            return _reply(response, bytes(body))
        except (httpx2.RequestError, httpx2.StreamError) as error:
            failure = _failure(error, request)
        finally:
            response.close()
        raise failure

    def _read(self, stream: Stream) -> bytes:
        try:
            return cast(bytes, stream.source.read(_read_timeout(stream.request)))
        except BROKEN as error:
            failure = _failure(error, stream.request)
        raise failure

    def _gather(self, operations: tuple[Operation[Any], ...], bound: int) -> list[Any]:
        stop = threading.Event()
        with ThreadPoolExecutor(max(1, min(bound, len(operations)))) as pool:
            futures = [pool.submit(self.run, operation, stop) for operation in operations]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                if not all(future.done() and not future.exception() for future in futures):
                    stop.set()
                    pool.shutdown(cancel_futures=True)
        _raise_first([None if f.cancelled() else f.exception() for f in futures])
        return [future.result() for future in futures]


def _flow(body: Body) -> Iterator[bytes]:
    sent = 0
    for chunk in body.chunks():
        yield chunk
        sent += len(chunk)
        body.on_sent(sent)


def _raise_first(errors: list[BaseException | None]) -> None:
    """Raise the error that stopped the others, if any."""
    for error in errors:
        if error is not None and not isinstance(error, _Stopped):
            raise error


class _SyncSource:
    """An answer's body, as it came."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._begun = False
        self._chunks = response.iter_raw()
        self._rest: Rest | None = None

    def read(self, timeout: float) -> bytes:
        if self._rest:
            return self._rest.count(self._rest.read(timeout)) if self._rest.left else b""
        piece = next(self._chunks, b"")
        if not self._begun:
            self._begun, self._rest = True, rest_of(self._response, piece)
        return piece

    def close(self) -> None:
        self._response.close()


class AsyncDriver:
    """Carries operations out on the running event loop, asyncio's or trio's; files off it."""

    def __init__(self, key: Secret, transport: Transport | None = None) -> None:
        self._key = key
        self._client = httpx2.AsyncClient(
            **_options(), transport=_mock(transport) if transport else None
        )

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
                streams.append(Stream(response.status_code, _headers(response), source, request))
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
        built = _built(request, self._key, content)
        try:
            with _deadline(request):
                return await self._client.send(built, stream=True)
        except (httpx2.RequestError, TimeoutError) as error:
            failure = _failure(error, request)
        raise failure

    async def _send(self, request: Request) -> Reply:
        response = await self._open(request)
        source = _AsyncSource(response, decoded=True)
        body = bytearray()
        try:
            with _deadline(request):
                while chunk := await source.read(request.timeouts.read):
                    body += chunk
                    if len(body) > LARGEST_REPLY:
                        raise Failure("connection", "the answer does not end")
            return _reply(response, bytes(body))
        except (httpx2.RequestError, httpx2.StreamError, TimeoutError) as error:
            failure = _failure(error, request)
        finally:
            with anyio.CancelScope(shield=True):
                await source.close()
        raise failure

    async def _read(self, stream: Stream) -> bytes:
        try:
            with _deadline(stream.request):
                return cast(bytes, await stream.source.read(_read_timeout(stream.request)))
        except BROKEN as error:
            failure = _failure(error, stream.request)
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
        _raise_first(errors)
        return results


@contextlib.contextmanager
def _deadline(request: Request) -> Iterator[None]:
    left = _left(request)
    if left == float("inf"):
        yield
    else:
        with anyio.fail_after(left):
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
                raise _Stopped  # nobody hears it
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
