"""What both drivers share: building requests, reading answers, and naming what went wrong.

Here alone the API key is put into a request, and here the HTTP library's exceptions end: each
becomes a Failure, raised outside the handler so that it drags no frames along in which a header
could be seen.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2  # httpx2's own lower half
import httpx2

from aistemsplitter._effects import Body, Failure, Request, Transport
from aistemsplitter._secret import Secret
from aistemsplitter._version import __version__

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


class _Url(httpx2.URL):
    """A URL that the HTTP library can use and log without showing a signature."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc.decode('ascii')}/..."


def options() -> dict[str, Any]:
    """How the HTTP library's clients are made."""
    return {
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),  # none is kept
        "limits": LIMITS,
        "follow_redirects": False,
    }


def build(request: Request, key: Secret, content: Any) -> httpx2.Request:
    """The library's request; Failure if its address cannot be used."""
    headers = dict(request.headers)
    if isinstance(request.body, Body):
        headers["Content-Length"] = str(request.body.length)
    if request.authorized:
        headers["Authorization"] = f"Bearer {key.reveal()}"
    limits, time_left = request.timeouts, left(request)
    timeouts = {
        "connect": min(limits.connect, time_left),
        "read": min(limits.read, time_left),
        "write": min(limits.write, time_left),
        "pool": min(limits.total, time_left),
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


def left(request: Request) -> float:
    """Seconds until the deadline; Failure if there are none."""
    if request.deadline is None:
        return float("inf")
    seconds = request.deadline - time.monotonic()
    if seconds <= 0:
        raise Failure("deadline", "out of time")
    return seconds


def read_timeout(request: Request) -> float:
    """Seconds that the next bytes may take."""
    return min(request.timeouts.read, left(request))


def failure_of(error: Exception, request: Request) -> Failure:
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


def grow(body: bytearray, piece: bytes) -> None:
    """Add to an answer that is read whole; Failure if it does not end."""
    body += piece
    if len(body) > LARGEST_REPLY:
        raise Failure("connection", "the answer does not end")


def headers_of(response: httpx2.Response) -> dict[str, str]:
    """By their names in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


def mock(transport: Transport) -> httpx2.MockTransport:
    """What takes the place of the network, as the library wants it."""

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
