"""A client's settings: read from arguments or the environment, and validated."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from aistemsplitter._effects import Timeouts
from aistemsplitter._errors import ConfigurationError
from aistemsplitter._secret import Secret

DEFAULT_BASE_URL = "https://api.aistemsplitter.org/v1"
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Headers that cannot be set, with the reason.
RESERVED_HEADERS = {
    "authorization": "pass api_key= instead",
    "content-length": "it is computed",
    "transfer-encoding": "it is computed",
}


def api_key(given: str | None) -> Secret:
    """Return the API key from the argument or the environment. No message shows any part of it."""
    key = os.environ.get("AISTEMSPLITTER_API_KEY") if given is None else given
    if not key:
        raise ConfigurationError("no API key: set AISTEMSPLITTER_API_KEY or pass api_key=")
    if not isinstance(key, str):
        raise ConfigurationError(f"api_key= must be a string, not {type(key).__name__}")
    if key != key.strip():
        raise ConfigurationError(
            "the API key begins or ends with whitespace or a line break: remove it"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError(
            "the API key contains a character that keys never have: copy the key again"
        )
    return Secret(key)


def base_url(given: str | None) -> str:
    """Return the base URL without a trailing slash; ``/v1`` is appended to one without a path."""
    url = os.environ.get("AISTEMSPLITTER_BASE_URL") or None if given is None else given
    url = DEFAULT_BASE_URL if url is None else url
    if not isinstance(url, str):
        raise ConfigurationError(f"base_url= must be a string, not {type(url).__name__}")
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and _is_host(parts.hostname) and parts.port != 0
    except ValueError:
        parts, usable = urlsplit(""), False
    if not usable:
        raise ConfigurationError(
            "the base URL is not valid: set base_url= or AISTEMSPLITTER_BASE_URL to a URL such as"
            " https://host/v1"
        )
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError(
            "the base URL must have only scheme, host, port and path. Check base_url= or"
            " AISTEMSPLITTER_BASE_URL"
        )
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _is_host(host: str | None) -> bool:
    """Return False for host names that cannot be resolved, such as ``a..b``."""
    if not host or not host.isprintable() or re.search(r"\s", host):
        return False
    return ":" in host or all(0 < len(label) < 64 for label in host.rstrip(".").split("."))


def webhook_secrets(given: str | Sequence[str] | None) -> tuple[Secret, ...]:
    """Return the webhook signing secrets; the environment separates several with commas."""
    if given is None:
        given = os.environ.get("AISTEMSPLITTER_WEBHOOK_SECRET", "").split(",")
    several = [given] if isinstance(given, str) else given
    if isinstance(several, (bytes, bytearray)) or not isinstance(several, Sequence):
        raise ConfigurationError(
            f"the webhook secret must be a string or a list of strings, not {type(given).__name__}"
        )
    for secret in several:
        if not isinstance(secret, str):
            kind = type(secret).__name__
            raise ConfigurationError(f"a webhook secret must be a string, not {kind}")
    return tuple(Secret(secret.strip()) for secret in several if secret.strip())


def headers(given: Mapping[str, str] | None, argument: str) -> dict[str, str]:
    """Return additional headers, validated; ``argument`` names their argument in messages."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{argument} must be a mapping, not {type(given).__name__}")
    for name, value in given.items():
        if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{argument}: {name!r} is not a valid header name")
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise ConfigurationError(f"{argument}: the value of {name} is not printable ASCII text")
        if reason := RESERVED_HEADERS.get(name.lower()):
            raise ConfigurationError(f"{argument}: {name} cannot be set: {reason}")
    return dict(given)


def timeouts(given: float | Timeouts | None, current: Timeouts | None = None) -> Timeouts:
    """Return time limits; a number sets those for a whole call, for reading and for writing.

    Args:
        given: Limits, a number of seconds, or None for the current limits.
        current: Limits to start from; the defaults if omitted.
    """
    current = current or Timeouts()
    if given is None:
        return current
    try:
        if not isinstance(given, Timeouts):
            seconds = float(given)
            given = replace(current, total=seconds, read=seconds, write=seconds)
        for name in ("total", "connect", "read", "write"):
            limit = getattr(given, name)
            if limit is not None and not 0 < limit < float("inf"):
                raise ConfigurationError(f"timeout=: {name} must be a positive number of seconds")
    except (TypeError, ValueError):
        raise ConfigurationError("timeout= must be a number of seconds or Timeouts") from None
    return given


def max_retries(given: int) -> int:
    """Return the number of retries after the first attempt."""
    if not isinstance(given, int) or given < 0:
        raise ConfigurationError("max_retries= must be a whole number, 0 or more")
    return given
