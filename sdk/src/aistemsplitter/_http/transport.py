"""Transport of the synchronous client: the HTTP library's pool over our own connections."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network
from typing import Any
from urllib.request import getproxies

import httpcore2
import httpx2

from aistemsplitter._http.network import Backend


class Transport(httpx2.BaseTransport):
    """Connection pool, optionally behind a proxy."""

    def __init__(
        self, context: ssl.SSLContext, limits: httpx2.Limits, proxy: httpx2.Proxy | None = None
    ) -> None:
        options: dict[str, Any] = {
            "ssl_context": context,
            "max_connections": limits.max_connections,
            "max_keepalive_connections": limits.max_keepalive_connections,
            "keepalive_expiry": limits.keepalive_expiry,
            "network_backend": Backend(),
        }
        self._pool: httpcore2.ConnectionPool
        if proxy is None:
            self._pool = httpcore2.ConnectionPool(**options)
        elif proxy.url.scheme in ("http", "https"):
            self._pool = httpcore2.HTTPProxy(
                _core_url(proxy.url),
                proxy_auth=proxy.raw_auth,
                proxy_headers=proxy.headers.raw,
                proxy_ssl_context=proxy.ssl_context,
                **options,
            )
        else:
            self._pool = httpcore2.SOCKSProxy(
                _core_url(proxy.url), proxy_auth=proxy.raw_auth, **options
            )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return the response with its body unread."""
        assert isinstance(request.stream, httpx2.SyncByteStream)
        response = self._pool.handle_request(
            httpcore2.Request(
                request.method,
                _core_url(request.url),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


def _core_url(url: httpx2.URL) -> httpcore2.URL:
    return httpcore2.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def environment_proxies() -> dict[str, str | None]:
    """Return the environment's proxy for each URL pattern; None for a direct connection.

    ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``ALL_PROXY`` name proxies, ``NO_PROXY`` the hosts to reach
    directly. The HTTP library does the same for the asynchronous client, but reads the variables
    only for transports that it creates itself.
    """
    found = getproxies()
    proxies: dict[str, str | None] = {}
    for scheme in ("http", "https", "all"):
        if url := found.get(scheme):
            proxies[f"{scheme}://"] = url if "://" in url else f"http://{url}"
    entries = [entry.strip() for entry in found.get("no", "").split(",")]
    if "*" in entries:
        return {}
    return {**proxies, **{_pattern(entry): None for entry in entries if _usable(entry)}}


def _usable(entry: str) -> bool:
    """Return True if an entry of ``NO_PROXY`` is a host; other entries are ignored."""
    try:
        return bool(entry) and bool(httpx2.URL(_pattern(entry)).host)
    except (httpx2.InvalidURL, ValueError):
        return False


def _pattern(entry: str) -> str:
    """Convert an entry of ``NO_PROXY`` to a URL pattern; a domain includes its subdomains."""
    if "://" in entry:
        return entry
    bare = entry.strip("[]")
    with suppress(ValueError):
        network = ip_network(bare, strict=False)
        address, slash, prefix = bare.partition("/")
        host = f"[{address}]" if network.version == 6 else address
        return f"all://{host}{slash}{prefix}"
    exact = entry.lower() == "localhost" or entry.startswith("*.")
    return f"all://{entry}" if exact else f"all://*{entry}"
