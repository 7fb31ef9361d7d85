"""What the core asks of a driver: the words between generators without I/O and who does the I/O.

An operation is a generator. It yields effects, is sent what came of each, or has the exception
thrown in, and returns its result. So it runs the same under threads, asyncio and trio, and a test
can play the driver by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds to wait.

    Attributes:
        total: for a whole call with all its retries and pauses.
        connect: to reach the server.
        read: for the next bytes of an answer.
        write: for the server to take the next bytes.
    """

    total: float = 60.0
    connect: float = 10.0
    read: float = 30.0
    write: float = 30.0


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body as a stream that can be opened again for another try.

    Attributes:
        length: in bytes, known before the first of them.
        chunks: opens it from its start; may block, so a driver keeps it off its event loop.
        on_sent: is called with the bytes handed over so far, on the caller's loop or thread.
    """

    length: int
    chunks: Callable[[], Iterator[bytes]]
    on_sent: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        url: absolute; may hold a signature, so it has no place in messages and logs.
        authorized: whether the driver adds the API key. Only the API's own calls say so.
        deadline: on the clock of ``time.monotonic``, None for none.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | Body | None = field(default=None, repr=False)
    authorized: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read whole.

    Attributes:
        headers: names in lower case.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


#: Answers a request in place of the network, or raises ConnectionError;
#: ``aistemsplitter.testing.FakeService`` is one.
Transport: TypeAlias = Callable[[Request], Reply]


@dataclass(slots=True, eq=False)
class Stream:
    """An answer whose body is still to be read; the driver's handle is in ``source``."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    source: Any = field(repr=False)
    request: Request = field(repr=False)


class Failure(Exception):
    """No whole answer came. Never leaves the package: operations turn it into a public error."""

    def __init__(
        self, kind: Literal["connection", "tls", "timeout", "deadline"], message: str
    ) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request, give back the Reply."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request, give back the Stream. The driver closes what the operation does not."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Give back the stream's next bytes as they came, empty at its end."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Close:
    """Close a stream, read to its end or not."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Blocking:
    """Call a function that may block, on files; give back what it returns."""

    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Gather:
    """Run operations at once, at most ``bound`` of them; give back their results in order.

    The first that fails stops the others.
    """

    operations: tuple[Operation[Any], ...]
    bound: int


Effect: TypeAlias = Send | Open | Read | Close | Sleep | Blocking | Gather
Operation: TypeAlias = Generator[Effect, Any, T]


def send(request: Request) -> Operation[Reply]:
    """The reply to a request; Failure if none came."""
    reply: Reply = yield Send(request)
    return reply


def open_stream(request: Request) -> Operation[Stream]:
    """The head of an answer, its body to be read; Failure if none came."""
    stream: Stream = yield Open(request)
    return stream


def read(stream: Stream) -> Operation[bytes]:
    """The next bytes, empty at the end; Failure if it broke off."""
    chunk: bytes = yield Read(stream)
    return chunk


def blocking(work: Callable[[], T]) -> Operation[T]:
    """What the function returns."""
    result: T = yield Blocking(work)
    return result


def gather(operations: list[Operation[T]], bound: int) -> Operation[list[T]]:
    """The results of all, in order."""
    results: list[T] = yield Gather(tuple(operations), bound)
    return results
