"""HTTP clients with the user's proxies and certificates, or the user's own HTTP client."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from aistemsplitter._effects import Transport
from aistemsplitter._errors import ConfigurationError
from aistemsplitter._http import exchange, transport

C = TypeVar("C", httpx2.Client, httpx2.AsyncClient)

HTTP_CLIENT_CLOSED = "the http_client= of this client is closed: keep it open, or create another"
PROXY_VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Network settings: proxy, certificates, or a replacement of the network.

    Attributes:
        mock: Function that answers requests in place of the network.
        http_client: HTTP client of the user, which is never closed here.
        proxy: URL of a proxy, instead of those in the environment.
        verify: Trusted certificates: True for the system's, a path, or a TLS context; False to
            disable verification.
    """

    mock: Transport | None = None
    http_client: object = None
    proxy: str | None = None
    verify: bool | str | os.PathLike[str] | ssl.SSLContext = True

    def client(self) -> httpx2.Client:
        """Return a synchronous HTTP client.

        Raises:
            ConfigurationError: A setting is invalid or contradicts another; the message names the
                argument or environment variable.
        """
        self._check()
        if self.http_client is not None:
            return _own(self.http_client, httpx2.Client)
        with self._explained():
            options = self._options()
            if self.mock:
                return httpx2.Client(**options)
            context = httpx2.create_ssl_context(verify=options.pop("verify", True))
            limits = options["limits"]
            proxy = options.pop("proxy", None)
            proxies = {"all://": proxy} if proxy else transport.environment_proxies()
            mounts = {
                pattern: transport.Transport(context, limits, httpx2.Proxy(url)) if url else None
                for pattern, url in proxies.items()
            }
            direct = transport.Transport(context, limits)
            return httpx2.Client(**options, verify=context, transport=direct, mounts=mounts)

    def async_client(self) -> httpx2.AsyncClient:
        """Return an asynchronous HTTP client.

        Raises:
            ConfigurationError: A setting is invalid or contradicts another; the message names the
                argument or environment variable.
        """
        self._check()
        if self.http_client is not None:
            return _own(self.http_client, httpx2.AsyncClient)
        with self._explained():
            return httpx2.AsyncClient(**self._options())

    def _check(self) -> None:
        custom = self.proxy is not None or self.verify is not True
        if self.http_client is not None and (custom or self.mock):
            raise ConfigurationError(
                "http_client= has its own proxy, verify and transport: set them on that client"
            )
        if self.mock and custom:
            raise ConfigurationError("transport= replaces the network: omit proxy= and verify=")

    def _options(self) -> dict[str, Any]:
        options = exchange.options()
        if self.verify is not True:
            options["verify"] = _trust(self.verify)
        if self.proxy is not None:
            options["proxy"] = self.proxy
        if self.mock:
            options["transport"] = exchange.mock(self.mock)
        return options

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Convert the library's errors about settings to one line that names the setting."""
        try:
            yield
        except ConfigurationError:
            raise
        except (ImportError, RuntimeError):  # the package for SOCKS is optional
            proxy = self._bad_proxy("socks")
            problem = f"{proxy} is a SOCKS proxy: install its support, pip install 'httpx2[socks]'"
        except OSError as error:
            problem = f"{_certificates_variable()} cannot be read: {error.strerror or error}"
        except (ValueError, TypeError, httpx2.InvalidURL):
            proxy = self._bad_proxy("")
            problem = f"{proxy} is not a valid proxy URL: set a URL such as http://host:3128"
        else:
            return
        raise ConfigurationError(problem)

    def _bad_proxy(self, scheme: str) -> str:
        """Return the name of the setting with a proxy of this scheme, or of an unknown scheme."""
        if self.proxy is not None:
            return "proxy="
        for name, value in _proxies():
            try:
                found = urlsplit(value if "://" in value else f"http://{value}").scheme
            except ValueError:
                return name
            if found.startswith(scheme) if scheme else found not in ("http", "https"):
                return name
        return next((name for name, _ in _proxies()), "the system's proxy")


def _own(client: object, kind: type[C]) -> C:
    if not isinstance(client, kind):
        given = f"{type(client).__module__.partition('.')[0]}.{type(client).__name__}"
        raise ConfigurationError(f"http_client= must be an httpx2.{kind.__name__}, not {given}")
    return client


def _trust(verify: bool | str | os.PathLike[str] | ssl.SSLContext) -> bool | ssl.SSLContext:
    if isinstance(verify, (bool, ssl.SSLContext)):
        return verify
    try:
        path = Path(verify)
        if path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or str(error)
    except TypeError:
        raise ConfigurationError(
            "verify= must be True, False, a path to certificates or an ssl.SSLContext"
        ) from None
    raise ConfigurationError(f"verify={str(verify)!r}: no certificates could be read: {reason}")


def _proxies() -> Iterator[tuple[str, str]]:
    for name in PROXY_VARIABLES:
        for spelled in (name, name.lower()):
            if value := os.environ.get(spelled):
                yield spelled, value


def _certificates_variable() -> str:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if path := os.environ.get(name):
            return f"{name}={path}"
    return "the system's certificate store"
