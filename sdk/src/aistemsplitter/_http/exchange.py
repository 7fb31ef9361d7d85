"""Requests, responses and exceptions of the HTTP library, for both drivers.

Only this module adds the API key to a request. It converts the library's exceptions to Failures,
which the drivers raise outside the handler, so that no traceback has a frame with headers.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2  # the transport layer of httpx2
import httpx2

from aistemsplitter._effects import Body, Failure, Request, Transport
from aistemsplitter._version import __version__

LARGEST_REPLY = 32 * 2**20  # bytes of a response that is read into memory
LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=64, keepalive_expiry=30.0)

#: Exceptions of httpx2 and httpcore2; the synchronous client's own transport raises the latter.
#: A host name that cannot be encoded raises UnicodeError.
LIBRARY_ERRORS = (
    httpx2.InvalidURL,
    UnicodeError,
    httpx2.RequestError,
    httpx2.StreamError,
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
    TimeoutError,
)

_ours: ContextVar[bool] = ContextVar("ours", default=False)


@contextmanager
def log_without_locations() -> Iterator[None]:
    """Keep redirect targets, which may be signed, out of the HTTP library's debug log.

    The library logs all response headers and has no option to turn that off. Records of the
    library's other users in the same process are not changed.
    """
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


def _hide_location(record: logging.LogRecord) -> bool:
    if _ours.get() and isinstance(record.msg, str) and "location'" in record.msg.lower():
        record.msg = re.sub(r"(?i)(b'location', )b(['\"]).*?\2", r"\1b'...'", record.msg)
    return True


for _name in ("httpcore2.http11", "httpcore2.http2"):
    logging.getLogger(_name).addFilter(_hide_location)


class _Url(httpx2.URL):
    """A URL whose text, which the HTTP library logs, hides path and query with the signature."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc.decode('ascii')}/..."


def options() -> dict[str, Any]:
    """Return the arguments for the HTTP library's clients."""
    return {
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),  # accepts no cookies
        "limits": LIMITS,
        "follow_redirects": False,
    }


def build(request: Request, content: Any) -> httpx2.Request:
    """Convert a request to one of the HTTP library.

    Args:
        request: Request to convert.
        content: Body in the form that the library's client expects.

    Raises:
        Failure: The URL is invalid, or the deadline has passed.
    """
    headers = httpx2.Headers({"User-Agent": f"aistemsplitter-python/{__version__}"})
    headers.update(request.headers)
    if isinstance(request.body, Body):
        headers["Content-Length"] = str(request.body.length)
    if request.key:
        headers["Authorization"] = f"Bearer {request.key.reveal()}"
    limits, time_left = request.timeouts, left(request)
    timeouts = {
        "connect": min(limits.connect, time_left),
        "read": min(limits.read, time_left),
        "write": min(limits.write, time_left),
        "pool": None if request.deadline is None else time_left,
    }
    try:
        built = httpx2.Request(
            request.method,
            request.url,
            headers=headers,
            content=content,
            extensions={"timeout": timeouts},
        )
        built.url = _Url(built.url)
    except (httpx2.InvalidURL, UnicodeError, ValueError, TypeError):
        pass
    else:
        return built
    raise Failure("connection", "the URL is invalid")


def left(request: Request) -> float:
    """Return the seconds until the request's deadline.

    Raises:
        Failure: The deadline has passed.
    """
    if request.deadline is None:
        return float("inf")
    seconds = request.deadline - time.monotonic()
    if seconds <= 0:
        raise Failure("deadline", "the deadline has passed")
    return seconds


def failure_of(error: Exception, request: Request, within: float | None = None) -> Failure:
    """Convert an exception of the HTTP library to a Failure.

    Args:
        error: Exception to convert.
        request: Request that failed.
        within: Limit of the effect in seconds, in addition to the request's own.
    """
    if isinstance(error, (httpx2.TimeoutException, httpcore2.TimeoutException, TimeoutError)):
        if request.deadline is not None and time.monotonic() >= request.deadline - 0.005:
            return Failure("deadline", "the deadline has passed")
        return Failure("timeout", _timeout_message(error, request, within))
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return Failure("tls", getattr(cause, "verify_message", "") or cause.reason or "TLS")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, (httpx2.UnsupportedProtocol, httpcore2.UnsupportedProtocol)):
        return Failure("connection", "the URL does not begin with http:// or https://")
    if isinstance(error, (httpx2.InvalidURL, UnicodeError)):
        return Failure("connection", "the host name is invalid")
    system_error = _system_error(error)
    reason = _reason(system_error) or str(error) or type(error).__name__
    failure = Failure("connection", reason)
    failure.__cause__ = system_error
    return failure


def _reason(error: OSError | None) -> str:
    """Return the system's text for an error; empty if it has none."""
    if error is None:
        return ""
    # asyncio and trio replace strerror; codes of name resolution and of Windows are not errnos.
    if error.errno and not isinstance(error, socket.gaierror) and sys.platform != "win32":
        return os.strerror(error.errno)
    return error.strerror or ""


def _system_error(error: BaseException | None) -> OSError | None:
    """Return a copy of the OSError at the root of an exception chain, without its traceback."""
    found = None
    while error is not None:
        if isinstance(error, BaseExceptionGroup):  # one error for each address that was tried
            error = error.exceptions[0]
        if isinstance(error, OSError):
            found = error
        error = error.__cause__ or error.__context__
    try:
        return None if found is None else type(found)(*found.args)
    except TypeError:  # a subclass with a different constructor
        return None


def _timeout_message(error: Exception, request: Request, within: float | None) -> str:
    limits = request.timeouts
    if isinstance(error, (httpx2.ConnectTimeout, httpcore2.ConnectTimeout)):
        return f"no connection within {limits.connect:g} s"
    if isinstance(error, (httpx2.WriteTimeout, httpcore2.WriteTimeout)):
        return f"accepted no bytes for {limits.write:g} s"
    if isinstance(error, (httpx2.PoolTimeout, httpcore2.PoolTimeout)):
        return "no free connection"
    return f"silent for {limits.read if within is None else within:g} s"


def grow(body: bytearray, piece: bytes) -> None:
    """Append a piece to a response body.

    Raises:
        Failure: The body is too long.
    """
    body += piece
    if len(body) > LARGEST_REPLY:
        raise Failure("connection", f"the response is longer than {LARGEST_REPLY >> 20} MiB")


def headers_of(response: httpx2.Response) -> dict[str, str]:
    """Return a response's headers by their lower-case names."""
    return {name.lower(): value for name, value in response.headers.items()}


def mock(transport: Transport) -> httpx2.MockTransport:
    """Convert a transport function to a transport of the HTTP library."""

    def answer(sent: httpx2.Request) -> httpx2.Response:
        # str() of a _Url hides the path, so the whole URL is put together here.
        netloc, path = sent.url.netloc.decode("ascii"), sent.url.raw_path.decode("ascii")
        url = f"{sent.url.scheme}://{netloc}{path}"
        headers = {name.lower(): value for name, value in sent.headers.items()}
        request = Request(method=sent.method, url=url, headers=headers, body=sent.content)
        try:
            reply = transport(request)
        except ConnectionError as error:
            raise httpx2.ConnectError(str(error)) from None
        headers = {"content-length": str(len(reply.body)), **reply.headers}
        return httpx2.Response(reply.status, headers=headers, stream=httpx2.ByteStream(reply.body))

    return httpx2.MockTransport(answer)
