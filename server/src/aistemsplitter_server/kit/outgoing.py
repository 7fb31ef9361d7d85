"""Requests to addresses that users give: only into the open internet, and never for long.

A name is resolved once, each of its addresses is judged, and the connection goes to one that was
found good; ``Host`` and the TLS name stay the user's. Every redirect is a new request that goes
the same way. Proxies of the environment are not asked: they would connect for us, unjudged.

OutgoingError
├── Unreachable   INPUT_UNREACHABLE   no address, no connection, no good answer, or not in time
├── NotAllowed    INPUT_FORBIDDEN     a private or disallowed address, or a URL that is not for us
└── TooLarge      INPUT_TOO_LARGE     more bytes than the limit
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import httpcore2
import httpx2

from aistemsplitter_server.kit import dialing
from aistemsplitter_server.kit.addresses import Network
from aistemsplitter_server.kit.dialing import SLOWEST, Dialer, Refused, Resolve, TooSlow

REDIRECTS = 5
REDIRECTING = (301, 302, 303, 307, 308)
COMPLETE = (200, 203)  # 203: a proxy on the way has changed something, such as a header
EXCERPT = 2048  # bytes of an answer to a webhook that are kept
FAULTS = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)
# Compressed, a small body could become a large one; what comes is what is written.
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "AIStemSplitter/1"}


class OutgoingError(Exception):
    """Base; its text is for the user and tells nothing of our network.

    Attributes:
        code: the contract's code of a split that fails with it.
    """

    code: ClassVar[str]


class Unreachable(OutgoingError):
    """Nothing usable came."""

    code = "INPUT_UNREACHABLE"


class NotAllowed(OutgoingError):
    """It leads where we do not go."""

    code = "INPUT_FORBIDDEN"


class TooLarge(OutgoingError):
    """More bytes than the limit, claimed or sent."""

    code = "INPUT_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said.

    Attributes:
        latency: seconds from the beginning to the answer's head.
        excerpt: the body's first 2048 bytes as text; what is no text is replaced.
        retry_after: the header of that name.
    """

    status: int
    latency: float
    excerpt: str
    retry_after: str | None


class Outgoing:
    """The client; it keeps no connection, so it can be shared by threads.

    Args:
        exceptions: the operator's networks, which may be connected to whatever they are.
        resolve: host and port to numeric addresses.
        tls: None for the usual authorities.
    """

    def __init__(
        self,
        exceptions: Sequence[Network] = (),
        *,
        resolve: Resolve = dialing.system,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._exceptions = exceptions
        self._resolve = resolve
        self._tls = tls or httpx2.create_ssl_context(trust_env=False)

    def fetch(
        self,
        url: str,
        to: Path,
        *,
        limit: int,
        deadline: float,
        announced: Callable[[int | None], None] = lambda _size: None,
        check: Callable[[], None] = lambda: None,
    ) -> int:
        """Stream what a URL gives into a new file; return its size in bytes.

        Args:
            url: http or https; at most 5 redirects are followed.
            to: must not exist yet, and does not after an error.
            limit: most bytes.
            deadline: seconds for all of it; a server that sends less than 4 KiB a second is
                given up earlier.
            announced: is called before the first byte with the size in bytes that the server
                announces, if it does; what it raises ends the download.
            check: is called between pieces; what it raises ends the download.

        Raises:
            OutgoingError: see above.
            OSError: the file cannot be written.
        """
        ends = time.monotonic() + deadline
        address = _parsed(url)
        for _ in range(REDIRECTS + 1):
            with self._request("GET", address, HEADERS, b"", ends) as response:
                location = _location(response)
                if response.status not in REDIRECTING or location is None:
                    size = _checked_size(response, limit)
                    announced(size)
                    return _save(response, to, limit, check)
                address = _parsed(location, address)
        raise Unreachable(f"The URL redirects more than {REDIRECTS} times.")

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> Answer:
        """POST a body; a redirect is an answer like others and is not followed.

        Args:
            url: http or https.
            body: sent as it is.
            headers: besides our own.
            timeout: seconds for all of it; one that runs out in the answer's body cuts that short.

        Raises:
            OutgoingError: there was no answer.
        """
        began = time.monotonic()
        sent = {**HEADERS, "Content-Length": str(len(body)), **headers}
        with self._request("POST", _parsed(url), sent, body, began + timeout) as response:
            latency = time.monotonic() - began
            excerpt = _excerpt(response)
            retry_after = _header(response, b"retry-after")
            return Answer(response.status, latency, excerpt, retry_after)

    @contextmanager
    def _request(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], body: bytes, ends: float
    ) -> Iterator[httpcore2.Response]:
        """One request on a connection of its own; faults of the wire come out as ours."""
        host = url.host
        dialer = Dialer(self._exceptions, self._resolve, ends)
        target = httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        sent = {"Host": url.netloc.decode("ascii"), **headers}
        try:
            with (
                httpcore2.ConnectionPool(self._tls, network_backend=dialer) as pool,
                pool.stream(method, target, headers=list(sent.items()), content=body) as response,
            ):
                dialer.pace.restart()  # the head had a while of its own
                yield response
        except TooSlow:
            raise Unreachable(f"{host} sends less than {SLOWEST >> 10} KiB a second.") from None
        except Refused:
            raise NotAllowed(f"The address of {host} is private or not allowed.") from None
        except httpcore2.TimeoutException:
            raise Unreachable(f"{host} did not answer in time.") from None
        except FAULTS as error:
            raise Unreachable(f"{host}: {_reason(error)}.") from None


def check(url: str) -> None:
    """Look at a URL's form alone; where it leads is judged when it is connected to.

    Raises:
        NotAllowed: it is none that a request would be made to.
    """
    _parsed(url)


def _parsed(url: str, base: httpx2.URL | None = None) -> httpx2.URL:
    try:
        address = base.join(url) if base else httpx2.URL(url)
        port_is_one = address.port is None or 0 < address.port < 1 << 16
    except (httpx2.InvalidURL, ValueError):
        raise NotAllowed("The URL is not valid.") from None
    if address.scheme not in ("http", "https") or not address.host or not port_is_one:
        raise NotAllowed("The URL must begin with http:// or https:// and name a host.")
    if address.userinfo:
        raise NotAllowed("The URL must not bear a user name or password.")
    return address


def _checked_size(response: httpcore2.Response, limit: int) -> int | None:
    """Return the size that an answer with a file announces.

    Raises:
        Unreachable: it has no file.
        TooLarge: the file is larger than the limit.
    """
    if response.status not in COMPLETE:
        raise Unreachable(f"The URL was answered with HTTP status {response.status}.")
    if (_header(response, b"content-encoding") or "identity").lower() != "identity":
        raise Unreachable("The server compressed its answer, though asked not to.")
    length = _header(response, b"content-length")  # digits, and not many: the parser checks that
    if length is None or not length.isdecimal():
        return None
    if int(length) > limit:
        raise TooLarge(f"The file is larger than {limit} bytes.")
    return int(length)


def _save(response: httpcore2.Response, to: Path, limit: int, check: Callable[[], None]) -> int:
    size = 0
    with _new(to) as write:
        for piece in response.iter_stream():
            size += len(piece)
            if size > limit:
                raise TooLarge(f"The file is larger than {limit} bytes.")
            write(piece)
            check()
    return size


@contextmanager
def _new(path: Path) -> Iterator[Callable[[bytes], int]]:
    """A new file, whole at the end or gone."""
    with path.open("xb") as file:
        try:
            yield file.write
            file.flush()
        except BaseException:
            path.unlink()
            raise


def _excerpt(response: httpcore2.Response) -> str:
    body = b""
    try:
        for piece in response.iter_stream():
            body += piece
            if len(body) >= EXCERPT:
                break
    except FAULTS:
        pass  # the receiver has answered; how it ends matters to nobody
    # Postgres has no text with a zero in it.
    return body[:EXCERPT].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _location(response: httpcore2.Response) -> str | None:
    """Return where a redirect leads. Servers write UTF-8 into it unencoded, as browsers expect."""
    location = _header(response, b"location")
    if location is None or location.isascii():
        return location
    raw = location.encode("latin-1")
    try:
        return raw.decode()
    except UnicodeDecodeError:  # a path in another encoding, whose bytes must stay as they are
        return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)


def _header(response: httpcore2.Response, name: bytes) -> str | None:
    found = (value for key, value in response.headers if key.lower() == name)
    value = next(found, None)
    return None if value is None else value.decode("latin-1")


def _reason(error: Exception) -> str:
    if isinstance(error, httpcore2.ProtocolError):
        return "the answer is cut short or no HTTP"
    if any(isinstance(cause, ssl.SSLError) for cause in error.args):
        return "no secure connection (TLS)"
    return "cannot be reached"
