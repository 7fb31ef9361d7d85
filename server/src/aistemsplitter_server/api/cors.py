"""CORS: the origins of web pages that may call the API, none by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def rules(origins: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of Starlette's middleware. Keys come in a header, never in a cookie."""
    return {
        "allow_origins": origins,
        "allow_methods": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        "allow_headers": (
            "Authorization",
            "Content-Range",
            "Content-Type",
            "Direct-Upload",
            "Idempotency-Key",
            "Last-Event-ID",
            "Range",
            "Upload-Sha256",
        ),
        "expose_headers": (
            "Content-Range",
            "ETag",
            "Idempotency-Replayed",
            "RateLimit-Limit",
            "RateLimit-Remaining",
            "RateLimit-Reset",
            "Request-Id",
            "Retry-After",
        ),
        "max_age": 3600,
    }
