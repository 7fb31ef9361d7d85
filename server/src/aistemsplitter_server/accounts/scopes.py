"""Scopes of API keys."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """A permission of an API key. A key keeps the scopes that it was created with."""

    CREDITS_READ = "credits:read"
    UPLOADS_WRITE = "uploads:write"
    SPLITS_READ = "splits:read"
    SPLITS_WRITE = "splits:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"


ALL = tuple(Scope)
