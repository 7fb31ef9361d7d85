"""Requests to user-supplied URLs: only to public addresses, and within deadlines.

A host is resolved once, each of its addresses is checked, and the connection goes to one that is
allowed; ``Host`` and the TLS name stay the user's. Every redirect is a new request with the same
checks. Proxies from the environment are not used: they would connect for us, unchecked.

OutgoingError
├── Unreachable   INPUT_UNREACHABLE   no address, connection or usable response, or not in time
├── NotAllowed    INPUT_FORBIDDEN     a private or disallowed address, or an unsupported URL
└── TooLarge      INPUT_TOO_LARGE     more bytes than the limit
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar
from urllib.parse import urlsplit

import httpcore2
import httpx2

from aistemsplitter_server.kit import dialing
from aistemsplitter_server.kit.addresses import Network
from aistemsplitter_server.kit.dialing import SLOWEST, Dialer, Refused, Resolve, TooSlow

REDIRECTS = 5
REDIRECTING = (301, 302, 303, 307, 308)
COMPLETE = (200, 203)  # 203: a proxy has changed something, such as a header
PIECE = 256 << 10  # bytes of a body that are read at a time
EXCERPT = 2048  # bytes of a webhook response that are stored
FAULTS = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)
# Uncompressed, or a small body could expand to a large one.
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "AIStemSplitter/1"}


class OutgoingError(Exception):
    """The base of errors. The text is for the user and reveals nothing of our network.

    Attributes:
        code: The error code of a split that fails with it.
    """

    code: ClassVar[str]


class Unreachable(OutgoingError):
    """There was no usable response."""

    code = "INPUT_UNREACHABLE"


class NotAllowed(OutgoingError):
    """The URL or its address is not allowed."""

    code = "INPUT_FORBIDDEN"


class TooLarge(OutgoingError):
    """The response is over the limit, announced or sent."""

    code = "INPUT_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of a webhook receiver, or of a customer's storage.

    Attributes:
        latency: Seconds from the beginning to the response's headers.
        excerpt: The first 2048 bytes of the body as text; invalid bytes are replaced.
        retry_after: The ``Retry-After`` header.
    """

    status: int
    latency: float
    excerpt: str
    retry_after: str | None


class Outgoing:
    """The client. It keeps no connections, so threads can share it.

    Args:
        exceptions: The operator's networks, which may always be connected to.
        resolve: Resolves host and port to numeric addresses.
        tls: None for the usual certificate authorities.
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
        """Download a URL into a new file and return its size in bytes.

        Args:
            url: An http or https URL; at most 5 redirects are followed.
            to: The file to create. It does not exist after an error.
            limit: Bytes at most.
            deadline: Seconds for everything. A server that sends less than 4 KiB per second is
                given up earlier.
            announced: Called before the first byte with the announced size in bytes, if there is
                one. An exception from it ends the download.
            check: Called between pieces. An exception from it ends the download.

        Raises:
            OutgoingError: See above.
            OSError: The file cannot be written.
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
        """POST a body. Redirects are not followed but returned like any response.

        Args:
            url: An http or https URL.
            body: The bytes to send.
            headers: Headers besides our own.
            timeout: Seconds for everything. If it ends within the response's body, the body is cut
                short.

        Raises:
            OutgoingError: There was no response.
        """
        return self._answer("POST", url, body, len(body), headers, timeout)

    def put(
        self, url: str, body: BinaryIO, length: int, headers: Mapping[str, str], *, timeout: float
    ) -> Answer:
        """PUT a file. Redirects are not followed but returned like any response.

        Args:
            url: An http or https URL.
            body: The file, read from where it is.
            length: Bytes to send.
            headers: Headers besides our own.
            timeout: Seconds for everything.

        Raises:
            OutgoingError: There was no response.
            OSError: The file cannot be read.
        """
        pieces = iter(lambda: body.read(PIECE), b"")
        return self._answer("PUT", url, pieces, length, headers, timeout)

    def _answer(
        self,
        method: str,
        url: str,
        body: bytes | Iterator[bytes],
        length: int,
        headers: Mapping[str, str],
        timeout: float,
    ) -> Answer:
        began = time.monotonic()
        sent = {**HEADERS, "Content-Length": str(length), **headers}
        with self._request(method, _parsed(url), sent, body, began + timeout) as response:
            latency = time.monotonic() - began
            excerpt = _excerpt(response)
            retry_after = _header(response, b"retry-after")
            return Answer(response.status, latency, excerpt, retry_after)

    @contextmanager
    def _request(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        body: bytes | Iterator[bytes],
        ends: float,
    ) -> Iterator[httpcore2.Response]:
        """Send a request on a connection of its own, and translate network errors into ours."""
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
                dialer.pace.restart()  # the headers had a window of their own
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
    """Check the form of a URL. Its address is checked when it is connected to.

    Raises:
        NotAllowed: It is not a URL that we would send a request to.
    """
    _parsed(url)


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, normalised.

    Raises:
        NotAllowed: See ``check``.
    """
    address = _parsed(url)
    return f"{address.scheme}://{address.netloc.decode('ascii')}"


def _parsed(url: str, base: httpx2.URL | None = None) -> httpx2.URL:
    try:
        address = base.join(url) if base else httpx2.URL(url)
        urlsplit(url)  # by which its host is logged, and which refuses `http://a]`
        port_is_one = address.port is None or 0 < address.port < 1 << 16
    except (httpx2.InvalidURL, ValueError):
        raise NotAllowed("The URL is not valid.") from None
    if address.scheme not in ("http", "https") or not address.host or not port_is_one:
        raise NotAllowed("The URL must begin with http:// or https:// and name a host.")
    if address.userinfo:
        raise NotAllowed("The URL must not contain a user name or password.")
    return address


def _checked_size(response: httpcore2.Response, limit: int) -> int | None:
    """Return the size in bytes that a response announces, if it does.

    Raises:
        Unreachable: The response is not a complete file.
        TooLarge: The file is larger than the limit.
    """
    if response.status not in COMPLETE:
        raise Unreachable(f"The server responded with HTTP status {response.status}.")
    if (_header(response, b"content-encoding") or "identity").lower() != "identity":
        raise Unreachable("The server sent a compressed response, although asked not to.")
    # a number of bounded length, as the parser ensures
    length = _header(response, b"content-length")
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
    """Create a file that is removed if the block raises."""
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
        pass  # the receiver has answered, and the rest does not matter
    # Postgres cannot store NUL in text.
    return body[:EXCERPT].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _location(response: httpcore2.Response) -> str | None:
    """Return where a redirect leads. Servers send raw UTF-8 in it, as browsers accept."""
    location = _header(response, b"location")
    if location is None or location.isascii():
        return location
    raw = location.encode("latin-1")
    try:
        return raw.decode()
    except UnicodeDecodeError:  # a path in another encoding, whose bytes must be kept
        return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)


def _header(response: httpcore2.Response, name: bytes) -> str | None:
    found = (value for key, value in response.headers if key.lower() == name)
    value = next(found, None)
    return None if value is None else value.decode("latin-1")


def _reason(error: Exception) -> str:
    if isinstance(error, httpcore2.ProtocolError):
        return "the response is truncated or not HTTP"
    if any(isinstance(cause, ssl.SSLError) for cause in error.args):
        return "the TLS connection failed"
    return "cannot be reached"
