"""Effects: the I/O that an operation requests from its driver.

An operation is a generator that does no I/O itself. It yields effects; the driver performs each one
and sends the result back into the generator, or throws the exception. The same operation therefore
runs under threads, asyncio and trio, and a test can act as the driver.
"""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from aistemsplitter._errors import InputError
from aistemsplitter._secret import Secret

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Time limits of a call, in seconds.

    Attributes:
        total: Limit for a whole call: connecting, all attempts and the pauses between them, and
            the upload or download that is part of it. If None, an API call may take 60 s, and an
            upload or download may take as long as it makes progress.
        connect: Limit for opening a connection.
        read: Limit for the wait for the next bytes of a response.
        write: Limit for sending the next bytes of a request.
    """

    total: float | None = None
    connect: float = 10.0
    read: float = 30.0
    write: float = 30.0


@dataclass(frozen=True, slots=True)
class Body:
    """A request body as a stream that can be opened again for a retry.

    Attributes:
        length: Length in bytes.
        chunks: Function that opens the stream at its start. Reading may block, so the asynchronous
            driver reads in a worker thread.
        on_sent: Callback that receives the number of bytes sent so far, on the caller's thread or
            event loop. An awaitable that it returns is awaited.
    """

    length: int
    chunks: Callable[[], Iterator[bytes]]
    on_sent: Callable[[int], object] = lambda _: None


class Listener(Generic[T]):
    """A progress callback, plain or async, that is never called concurrently.

    Attributes:
        thread_lock: Lock that the synchronous driver holds during a call.
        task_lock: Lock that the asynchronous driver holds during a call, and creates on its event
            loop.
    """

    def __init__(self, callback: Callable[[T], object] | None) -> None:
        self.callback = callback
        self.thread_lock = threading.Lock()
        self.task_lock: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request.

    Attributes:
        url: Absolute URL. It may contain a signature, so it must not appear in messages or logs.
        key: API key to send; None for requests to other hosts, such as the storage.
        deadline: Time on ``time.monotonic`` by which the response must be complete; None for no
            limit.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | Body | None = field(default=None, repr=False)
    key: Secret | None = field(default=None, repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A response that has been read completely.

    Attributes:
        status: HTTP status.
        headers: Headers by their lower-case names.
        body: Body, decompressed.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The body decoded as UTF-8; invalid bytes are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the parsed JSON body.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body)


#: Function that answers requests in place of the network, such as
#: ``aistemsplitter.testing.FakeService``. It returns a Reply or raises ConnectionError.
Transport: TypeAlias = Callable[[Request], Reply]


@dataclass(slots=True, eq=False)
class Stream:
    """A response whose body has not been read yet; ``source`` is the driver's handle."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    source: Any = field(repr=False)
    request: Request = field(repr=False)


class Failure(Exception):
    """No complete response arrived. Operations convert it to a public error."""

    def __init__(
        self, kind: Literal["connection", "tls", "timeout", "deadline"], message: str
    ) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request and return the Reply."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request and return the response as a Stream. The driver closes forgotten streams.

    Attributes:
        within: Limit in seconds for the response to begin, in addition to the request's own.
    """

    request: Request
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Return the next bytes of a stream as they arrive; empty at its end.

    Attributes:
        within: Limit for the wait in seconds, in addition to the request's own.
    """

    stream: Stream
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """Close a stream, even before its end."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Sleep:
    """Pause the operation for a number of seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Blocking:
    """Call a function that may block, outside the event loop, and return its result."""

    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Await:
    """Await an asynchronous source. The synchronous driver raises InputError instead.

    Attributes:
        start: Function that returns the awaitable.
        subject: Name of the asynchronous argument, for the error message.
    """

    start: Callable[[], Awaitable[Any]]
    subject: str


@dataclass(frozen=True, slots=True)
class Notify:
    """Call a progress callback, and await its result if it is async."""

    listener: Listener[Any]
    value: Any


@dataclass(frozen=True, slots=True)
class Gather:
    """Run operations concurrently, at most ``bound`` at a time, and return their results in order.

    The first failure stops the other operations.
    """

    operations: tuple[Operation[Any], ...]
    bound: int


Effect: TypeAlias = Send | Open | Read | Close | Sleep | Blocking | Await | Notify | Gather
Operation: TypeAlias = Generator[Effect, Any, T]


def send(request: Request) -> Operation[Reply]:
    """Send a request and return the complete response.

    Raises:
        Failure: No complete response arrived.
    """
    reply: Reply = yield Send(request)
    return reply


def open_stream(request: Request, within: float | None = None) -> Operation[Stream]:
    """Send a request and return the response with its body unread.

    Args:
        within: Limit in seconds for the response to begin, in addition to the request's own.

    Raises:
        Failure: No response arrived.
    """
    stream: Stream = yield Open(request, within)
    return stream


def read(stream: Stream, within: float | None = None) -> Operation[bytes]:
    """Return the next bytes of a stream; empty at its end.

    Args:
        within: Limit for the wait in seconds, in addition to the request's own.

    Raises:
        Failure: The connection failed or timed out.
    """
    chunk: bytes = yield Read(stream, within)
    return chunk


def blocking(work: Callable[[], T]) -> Operation[T]:
    """Call a function that may block, outside the event loop, and return its result."""
    result: T = yield Blocking(work)
    return result


def gather(operations: list[Operation[T]], bound: int) -> Operation[list[T]]:
    """Run operations concurrently and return their results in order."""
    results: list[T] = yield Gather(tuple(operations), bound)
    return results


def notify(listener: Listener[T], value: T) -> Operation[None]:
    """Call a progress callback, if there is one."""
    if listener.callback is not None:
        yield Notify(listener, value)


def refuse_awaitable(result: object, subject: str) -> None:
    """Raise InputError if a callback of the synchronous client returned an awaitable."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise only_async(subject)


def only_async(subject: str) -> InputError:
    """Return the error for an asynchronous argument of the synchronous client."""
    return InputError(f"{subject} is asynchronous: use AsyncAiStemSplitter or a synchronous one")
