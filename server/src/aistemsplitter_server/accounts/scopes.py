"""What a key may be allowed to do."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """One right; a key has those that it was made with."""

    CREDITS_READ = "credits:read"
    UPLOADS_WRITE = "uploads:write"
    SPLITS_READ = "splits:read"
    SPLITS_WRITE = "splits:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"


ALL = tuple(Scope)
