"""The effects that an operation asks its driver to carry out.

An operation is a generator that does no I/O. It yields effects; the driver carries each one out and
sends back its result, or throws in its exception. The same operation therefore runs under threads,
asyncio and trio, and a test can play the driver by hand.
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
        total: Limit for a whole call: connecting, all tries and the pauses between them, and the
            upload or download that belongs to it. If None, a call of the API may take 60 s, and an
            upload or a download as long as it makes progress.
        connect: Limit for opening a connection.
        read: Limit for the next bytes of an answer to arrive.
        write: Limit for the server to accept the next bytes.
    """

    total: float | None = None
    connect: float = 10.0
    read: float = 30.0
    write: float = 30.0


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body as a stream that can be opened again for another try.

    Attributes:
        length: Length in bytes.
        chunks: Opens the stream at its start. Reading may block, so the asynchronous driver does it
            in a worker thread.
        on_sent: Called with the bytes sent so far, on the caller's thread or event loop; an
            awaitable that it returns is awaited.
    """

    length: int
    chunks: Callable[[], Iterator[bytes]]
    on_sent: Callable[[int], object] = lambda _: None


class Listener(Generic[T]):
    """A progress callback, plain or async, that is never called twice at once.

    Attributes:
        thread_lock: Held during a call by the synchronous driver.
        task_lock: The same for the asynchronous driver, which creates it on its event loop.
    """

    def __init__(self, callback: Callable[[T], object] | None) -> None:
        self.callback = callback
        self.thread_lock = threading.Lock()
        self.task_lock: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request.

    Attributes:
        url: Absolute URL. It may contain a signature, so it must not appear in messages and logs.
        key: API key to send; None for requests that leave the API, such as transfers.
        deadline: Latest time for the whole answer, by ``time.monotonic``; None for no limit.
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
        headers: Headers by their names in lower case.
        body: The bytes, decompressed.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not are replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as JSON; ValueError if it is not."""
        return json.loads(self.body)


#: Answers a request in place of the network, or raises ConnectionError;
#: ``aistemsplitter.testing.FakeService`` is one.
Transport: TypeAlias = Callable[[Request], Reply]


@dataclass(slots=True, eq=False)
class Stream:
    """A response whose body has not been read yet; ``source`` is the driver's handle."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    source: Any = field(repr=False)
    request: Request = field(repr=False)


class Failure(Exception):
    """No complete response arrived. Operations turn it into a public error."""

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
    """Send a request and return the Stream. The driver closes it if the operation does not.

    Attributes:
        within: Seconds until the response has to begin, if less than the request's own limits.
    """

    request: Request
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Return the stream's next bytes as they arrived; empty at its end.

    Attributes:
        within: Seconds to wait for them, if less than the request's own limits.
    """

    stream: Stream
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """Close a stream, whether or not it was read to its end."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Blocking:
    """Call a function that may block on files, off the event loop, and return its result."""

    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Await:
    """Await what a function returns; only the asynchronous driver can.

    Attributes:
        subject: Name of what is asynchronous, for the synchronous driver's error message.
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
    """Run operations concurrently, at most ``bound`` at a time; return their results in order.

    The first one that fails stops the others.
    """

    operations: tuple[Operation[Any], ...]
    bound: int


Effect: TypeAlias = Send | Open | Read | Close | Sleep | Blocking | Await | Notify | Gather
Operation: TypeAlias = Generator[Effect, Any, T]


def send(request: Request) -> Operation[Reply]:
    """Send a request and return its reply.

    Raises:
        Failure: No complete response arrived.
    """
    reply: Reply = yield Send(request)
    return reply


def open_stream(request: Request, within: float | None = None) -> Operation[Stream]:
    """Send a request and return the response, its body still to be read.

    Args:
        within: Seconds until the response has to begin, if less than the request's own limits.

    Raises:
        Failure: No response arrived.
    """
    stream: Stream = yield Open(request, within)
    return stream


def read(stream: Stream, within: float | None = None) -> Operation[bytes]:
    """Return the stream's next bytes; empty at its end.

    Args:
        within: Seconds to wait for them, if less than the request's own limits.

    Raises:
        Failure: The connection failed or was silent for too long.
    """
    chunk: bytes = yield Read(stream, within)
    return chunk


def blocking(work: Callable[[], T]) -> Operation[T]:
    """Call a function that may block, off the event loop, and return its result."""
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
    """Return the error for something asynchronous that was given to the synchronous client."""
    return InputError(f"{subject} is asynchronous: use AsyncAiStemSplitter, or a plain one.")
