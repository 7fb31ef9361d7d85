"""Ids: a prefix that says what it names, and a ULID, so that they sort by time."""

from __future__ import annotations

from typing import Literal

from ulid import ULID

Prefix = Literal["split", "upl", "evt", "key", "req", "acc", "ent", "dlv", "wrk"]


def new(prefix: Prefix) -> str:
    """A new id, such as ``split_01JTB3Y6M8Q4W2N7C5D9E0F1GH``."""
    return f"{prefix}_{ULID()}"


def body(identifier: str) -> str:
    """The ULID of an id, without its prefix."""
    return identifier.partition("_")[2]
