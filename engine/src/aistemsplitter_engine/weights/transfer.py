"""Download of a URL into a file, resumed across attempts and runs.

However a transfer ends, the received bytes stay in the ``.part`` file, and the next attempt
requests the rest with ``Range``, and with ``If-Range`` if the server sent a validator (an ``ETag``
or a date), which is stored beside the file. If the server sends the whole file instead, it replaces
those bytes. The caller verifies the content.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aistemsplitter_engine.errors import DownloadError

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT = 10.0  # seconds
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
SUCCESS_STATUSES = frozenset({200, 203})  # 203: a proxy has changed a header


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Timeouts and retries.

    Attributes:
        read_timeout: Seconds without data after which an attempt fails.
        attempts: Number of attempts in total.
        delay: Seconds before the second attempt, doubled before each further one.
    """

    read_timeout: float = 30.0
    attempts: int = 5
    delay: float = 1.0


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The result of a completed download.

    Attributes:
        resumed: Whether some of the bytes come from an earlier response.
        announced_sha256: SHA-256 in hex that the hub announces, or None.
    """

    resumed: bool
    announced_sha256: str | None


class _RetryError(Exception):
    """An attempt failed, but another may succeed."""


def fetch(
    url: str,
    part: Path,
    *,
    limit: int,
    retries: RetryPolicy,
    on_bytes: Callable[[int, int | None], None],
) -> FetchResult:
    """Download a URL into a partial file, resuming after the bytes that the file already has.

    Args:
        url: URL to fetch; redirects are followed, but not from https to http.
        part: Partial file, kept on failure and interruption so that a later call resumes.
        limit: Maximum size of the body in bytes.
        retries: Timeouts and retries.
        on_bytes: Called with the bytes received so far and the total, None if unknown.

    Raises:
        DownloadError: The download failed; the message names the host but not the file.
        OSError: ``part`` cannot be written.
    """
    import httpx2

    def refuse_downgrade(request: httpx2.Request) -> None:
        if address.scheme == "https" and request.url.scheme != "https":
            raise DownloadError(f"{host} redirects from https to {request.url.scheme}: refused")

    address = _parse_url(url)
    host = address.host
    at_first = _size(part)
    resumed = False
    problem = ""
    with _client(
        follow_redirects=True,
        timeout=httpx2.Timeout(retries.read_timeout, connect=CONNECT_TIMEOUT),
        headers={"Accept-Encoding": "identity", "User-Agent": "aistemsplitter-engine"},
        event_hooks={"request": [refuse_downgrade]},
    ) as client:
        for attempt in range(retries.attempts):
            if attempt:
                # The server needs time to recover.
                time.sleep(retries.delay * 2 ** (attempt - 1))
            try:
                answer = _attempt(client, url, part, limit, on_bytes)
                return FetchResult(resumed or answer.resumed, answer.announced_sha256)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                if _size(part) == at_first:  # nothing was received: a retry would not help
                    raise DownloadError(f"{host} cannot be reached ({_reason(error)})") from None
                problem = _reason(error)
            except httpx2.ReadTimeout:
                problem = f"no data for {retries.read_timeout:g} s"
            except UnicodeError:  # a proxy's name, such as a..b; the URL's host was checked
                raise DownloadError(f"{_proxy_variable()} has an invalid host name") from None
            except (httpx2.RequestError, httpx2.InvalidURL, _RetryError) as error:
                problem = _reason(error)
            resumed = resumed or _size(part) > 0
    raise DownloadError(f"{host} failed {retries.attempts} times, last with: {problem}")


def discard(part: Path) -> None:
    """Delete a partial file and its validator."""
    part.unlink(missing_ok=True)
    _validator_of(part).unlink(missing_ok=True)


def _client(**options: Any) -> httpx2.Client:
    """Return a client with the proxies and certificates that the environment names.

    Raises:
        DownloadError: They cannot be used; the message names the variable.
    """
    import httpx2

    try:
        return httpx2.Client(**options)
    except ImportError:  # the package for SOCKS is optional
        problem = f"{_proxy_variable()} is a SOCKS proxy, which needs: pip install 'httpx2[socks]'"
    except OSError as error:
        named = (f"{name}={os.environ[name]}" for name in CERTIFICATES if os.environ.get(name))
        name = next(named, "the system's certificate store")
        problem = f"{name} cannot be read: {error.strerror or error}"
    except (ValueError, httpx2.InvalidURL):
        problem = f"{_proxy_variable()} is not the URL of a proxy, such as http://host:3128"
    raise DownloadError(problem)


def _proxy_variable() -> str:
    """Return the names of the variables that set a proxy. Their values may contain passwords."""
    spelled = (name for upper in PROXIES for name in (upper, upper.lower()))
    names = [name for name in spelled if os.environ.get(name)]
    return " or ".join(names) or "the system's proxy"


def _attempt(
    client: httpx2.Client,
    url: str,
    part: Path,
    limit: int,
    on_bytes: Callable[[int, int | None], None],
) -> FetchResult:
    offset = _size(part)
    with client.stream("GET", url, headers=_resume_headers(part, offset)) as response:
        if response.status_code in RETRIED_STATUSES:
            raise _RetryError(f"status {response.status_code}")
        if response.status_code == 206:
            total = _total_of_range(response, offset)
        elif response.status_code == 416:
            total = None
        elif response.status_code in SUCCESS_STATUSES:
            offset, total = 0, _content_length(response)
        else:
            raise DownloadError(f"{shown(url)} answered {response.status_code}")
        if response.status_code not in SUCCESS_STATUSES and total is None:
            discard(part)
            raise _RetryError("its response did not continue the partial file")
        if total is not None and total > limit:
            discard(part)
            raise DownloadError(f"{response.url.host} announces {total} bytes: too many")

        if offset == 0:
            _store_validator(part, response)
        done = offset
        with part.open("ab" if offset else "wb") as file:
            for chunk in response.iter_raw():
                done += len(chunk)
                if done > limit:
                    break
                file.write(chunk)
                on_bytes(done, total)
        if done > limit:
            discard(part)
            raise DownloadError(f"{response.url.host} sends more than {limit} bytes: too many")
        if total is not None and done != total:
            raise _RetryError(f"it ended after {done} of {total} bytes")
        return FetchResult(offset > 0, _announced_sha256(response))


def shown(url: str) -> str:
    """Return the URL without its user name and password, for messages."""
    return re.sub(r"//[^/]*@", "//", url)


def _parse_url(url: str) -> httpx2.URL:
    import httpx2

    try:
        address = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise DownloadError(f"{shown(url)} is not a valid URL ({_reason(error)})") from None
    if address.scheme not in ("http", "https") or not address.host:
        raise DownloadError(f"{shown(url)} is not an http or https URL")
    return address


def _resume_headers(part: Path, offset: int) -> dict[str, str]:
    if not offset:
        return {}
    headers = {"Range": f"bytes={offset}-"}
    if _validator_of(part).exists():
        validator = _validator_of(part).read_text("latin-1")
        if validator.isascii() and validator.isprintable():  # else damaged by a crash
            headers["If-Range"] = validator
    return headers


def _store_validator(part: Path, response: httpx2.Response) -> None:
    etag = response.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    part.unlink(missing_ok=True)  # first, so that old bytes never get a new validator
    if validator:
        _validator_of(part).write_text(validator, "latin-1")
    else:
        _validator_of(part).unlink(missing_ok=True)


def _total_of_range(response: httpx2.Response, offset: int) -> int | None:
    """Return the length of the whole file, or None if the response is not the requested range."""
    match = re.fullmatch(
        r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", response.headers.get("Content-Range", "")
    )
    if match is None or not offset:
        return None
    start, last, total = (int(number) for number in match.groups())
    return total if start == offset and last == total - 1 else None


def _content_length(response: httpx2.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch(r"\d{1,15}", length) else None


def _announced_sha256(response: httpx2.Response) -> str | None:
    # In the hub's own response, which redirects to the content.
    for answer in (*response.history, response):
        etag = answer.headers.get("X-Linked-Etag", "").strip('"')
        if re.fullmatch("[0-9a-f]{64}", etag):
            return str(etag)
    return None


def _validator_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
