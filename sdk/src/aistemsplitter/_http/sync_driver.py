"""Driver of the synchronous client."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar, cast

import httpx2

from aistemsplitter._effects import (
    Await,
    Blocking,
    Body,
    Close,
    Gather,
    Notify,
    Open,
    Operation,
    Read,
    Reply,
    Request,
    Send,
    Sleep,
    Stream,
    only_async,
    refuse_awaitable,
)
from aistemsplitter._errors import ClientClosed
from aistemsplitter._http import exchange, network
from aistemsplitter._http.connections import HTTP_CLIENT_CLOSED, Network
from aistemsplitter._http.exchange import LIBRARY_ERRORS, build, failure_of, headers_of, left
from aistemsplitter._http.stopping import Stopped, raise_first

T = TypeVar("T")


class SyncDriver:
    """Runs operations in the calling thread. Safe to share between threads."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._owned = (os.getpid(), network.client())
        self._closed = False

    def close(self) -> None:
        """Close all connections, except those of the caller's own ``http_client``."""
        self._closed = True
        pid, client = self._owned
        if pid == os.getpid() and self._network.http_client is None:
            client.close()

    def run(self, operation: Operation[T], stop: threading.Event | None = None) -> T:
        """Run an operation and return its result.

        Args:
            stop: Event that ends the operation early.
        """
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

    def _client(self) -> httpx2.Client:
        """Return the HTTP client of this process.

        After a fork, both processes have the same connections and would read each other's
        responses. The copy is dropped, not closed: its locks may be held by threads that exist
        only in the parent process.
        """
        pid, client = self._owned
        if self._closed:
            raise ClientClosed
        if client.is_closed:
            raise ClientClosed(HTTP_CLIENT_CLOSED)
        if pid != os.getpid():
            client = self._network.client()
            self._owned = (os.getpid(), client)
        return client

    def _carry_out(
        self, effect: object, streams: list[Stream], stop: threading.Event | None
    ) -> object:
        match effect:
            case Send(request):
                return self._send(request, stop)
            case Open(request, within):
                response = self._open(request, stop, within)
                source = _Source(response)
                streams.append(Stream(response.status_code, headers_of(response), source, request))
                return streams[-1]
            case Read(stream, within):
                return self._read(stream, within, stop)
            case Close(stream):
                stream.source.close()
            case Sleep(seconds):
                if stop:
                    stop.wait(seconds)
                else:
                    time.sleep(seconds)
            case Blocking(work):
                return work()
            case Await(_, subject):
                raise only_async(subject)
            case Notify(listener, value):
                with listener.thread_lock:
                    refuse_awaitable(listener.callback(value), "on_progress=")  # type: ignore[misc]
            case Gather(operations, bound):
                return self._gather(operations, bound)
        return None

    def _open(
        self, request: Request, stop: threading.Event | None, within: float | None = None
    ) -> httpx2.Response:
        body = request.body
        content = _flow(body) if isinstance(body, Body) else body
        built = build(request, content)
        try:
            deadline = _deadline(request, within)
            with network.limited(deadline, stop), exchange.log_without_locations():
                # The settings of the caller's http_client must not send the key elsewhere.
                return self._client().send(built, stream=True, auth=None, follow_redirects=False)
        except LIBRARY_ERRORS as error:
            failure = failure_of(error, request, within)
        raise failure

    def _send(self, request: Request, stop: threading.Event | None) -> Reply:
        response = self._open(request, stop)
        body = bytearray()
        try:
            with network.limited(request.deadline, stop):
                for chunk in response.iter_bytes():
                    exchange.grow(body, chunk)
            return Reply(response.status_code, headers_of(response), bytes(body))
        except LIBRARY_ERRORS as error:
            failure = failure_of(error, request)
        finally:
            response.close()
        raise failure

    def _read(self, stream: Stream, within: float | None, stop: threading.Event | None) -> bytes:
        try:
            with network.limited(_deadline(stream.request, within), stop):
                return cast(bytes, stream.source.read())
        except LIBRARY_ERRORS as error:
            failure = failure_of(error, stream.request, within)
        raise failure

    def _gather(self, operations: tuple[Operation[Any], ...], bound: int) -> list[Any]:
        stop = threading.Event()
        futures: list[Future[Any]] = []
        with ThreadPoolExecutor(max(1, min(bound, len(operations)))) as pool:
            try:
                for operation in operations:
                    futures.append(pool.submit(self.run, operation, stop))
                wait(futures, return_when=FIRST_EXCEPTION)
                if any(future.done() and future.exception() for future in futures):
                    stop.set()
            except BaseException:  # Ctrl-C, possibly before all operations have been started
                stop.set()
                raise
            finally:
                pool.shutdown(cancel_futures=stop.is_set())
        raise_first([None if f.cancelled() else f.exception() for f in futures])
        return [future.result() for future in futures]


def _deadline(request: Request, within: float | None) -> float:
    """Return the request's deadline, or ``within`` seconds from now if that is sooner."""
    return time.monotonic() + min(left(request), math.inf if within is None else within)


def _flow(body: Body) -> Iterator[bytes]:
    sent = 0
    for chunk in body.chunks():
        yield chunk
        sent += len(chunk)
        refuse_awaitable(body.on_sent(sent), "on_progress=")


class _Source:
    """Body of a response as it arrives."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks = response.iter_raw()

    def read(self) -> bytes:
        return next(self._chunks, b"")

    def close(self) -> None:
        self._response.close()
