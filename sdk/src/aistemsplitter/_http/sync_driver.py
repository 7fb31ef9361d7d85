"""Carries operations out in the calling thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar, cast

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
from aistemsplitter._http.stopping import Stopped, raise_first
from aistemsplitter._secret import Secret

T = TypeVar("T")


class SyncDriver:
    """Carries operations out in the calling thread; safe to share between threads."""

    def __init__(self, key: Secret, transport: Transport | None = None) -> None:
        self._key = key
        self._client = httpx2.Client(
            **exchange.options(), transport=exchange.mock(transport) if transport else None
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
                    raise Stopped
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
                streams.append(Stream(response.status_code, headers_of(response), source, request))
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
        built = build(request, self._key, content)
        try:
            return self._client.send(built, stream=True)
        except httpx2.RequestError as error:
            failure = failure_of(error, request)
        raise failure

    def _send(self, request: Request) -> Reply:
        response = self._open(request)
        body = bytearray()
        try:
            for chunk in response.iter_bytes():
                left(request)
                exchange.grow(body, chunk)
            return Reply(response.status_code, headers_of(response), bytes(body))
        except (httpx2.RequestError, httpx2.StreamError) as error:
            failure = failure_of(error, request)
        finally:
            response.close()
        raise failure

    def _read(self, stream: Stream) -> bytes:
        try:
            return cast(bytes, stream.source.read(read_timeout(stream.request)))
        except BROKEN as error:
            failure = failure_of(error, stream.request)
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
        raise_first([None if f.cancelled() else f.exception() for f in futures])
        return [future.result() for future in futures]


def _flow(body: Body) -> Iterator[bytes]:
    sent = 0
    for chunk in body.chunks():
        yield chunk
        sent += len(chunk)
        body.on_sent(sent)


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
