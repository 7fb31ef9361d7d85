"""A client's settings: from its arguments, else from the environment; checked before first use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from aistemsplitter._effects import Timeouts
from aistemsplitter._errors import ConfigurationError
from aistemsplitter._secret import Secret

DEFAULT_BASE_URL = "https://api.aistemsplitter.org/v1"


def api_key(given: str | None) -> Secret:
    """The API key. No message shows it, not even in part."""
    key = os.environ.get("AISTEMSPLITTER_API_KEY") if given is None else given
    if not key:
        raise ConfigurationError("no API key: set AISTEMSPLITTER_API_KEY or pass api_key=")
    if key != key.strip():
        raise ConfigurationError("the API key begins or ends with whitespace or a line break")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError("the API key holds a character that no key has")
    return Secret(key)


def base_url(given: str | None) -> str:
    """The base URL without a slash at its end; one without a path gets ``/v1``."""
    url = os.environ.get("AISTEMSPLITTER_BASE_URL") or None if given is None else given
    url = DEFAULT_BASE_URL if url is None else url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, usable = urlsplit(""), False
    if not usable:
        raise ConfigurationError("the base URL is not one: it looks like https://host/v1")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError("the base URL has more than scheme, host, port and path")
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def webhook_secrets(given: str | Sequence[str] | None) -> tuple[Secret, ...]:
    """The signing secrets; several while one is being rotated, in the environment by commas."""
    if given is None:
        given = os.environ.get("AISTEMSPLITTER_WEBHOOK_SECRET", "").split(",")
    several = [given] if isinstance(given, str) else given
    return tuple(Secret(secret.strip()) for secret in several if secret.strip())


def timeouts(given: float | Timeouts | None, current: Timeouts | None = None) -> Timeouts:
    """Return the limits; a number is the limit of a whole call, and so of reading and writing.

    Args:
        current: Limits to start from, whose limit for connecting a number does not change.
    """
    current = current or Timeouts()
    if given is None:
        return current
    if not isinstance(given, Timeouts):
        seconds = float(given)
        given = replace(current, total=seconds, read=seconds, write=seconds)
    for name in ("total", "connect", "read", "write"):
        seconds = getattr(given, name)
        if seconds is not None and not 0 < seconds < float("inf"):
            raise ConfigurationError(f"the timeout {name} is not a positive number of seconds")
    return given


def max_retries(given: int) -> int:
    """Tries after the first, 0 or more."""
    if given < 0:
        raise ConfigurationError("max_retries is below 0")
    return given
