"""Ids: a prefix that names the kind, and a ULID, so that they sort by time."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ulid import ULID

from aistemsplitter_server.kit.errors import ValidationFailed

Prefix = Literal[
    "split",
    "upl",
    "evt",
    "key",
    "req",
    "acc",
    "ent",
    "dlv",
    "whe",
    "wrk",
    "usr",
    "ses",
    "lnk",
    "shr",
    "pur",
    "aud",
    "api",
]


def new(prefix: Prefix) -> str:
    """Return a new id, such as ``split_01JTB3Y6M8Q4W2N7C5D9E0F1GH``."""
    return f"{prefix}_{ULID()}"


def first(prefix: Prefix, moment: datetime) -> str:
    """Return the smallest id that can be created at a time. All later ids are larger."""
    milliseconds = int(moment.timestamp() * 1000)
    return f"{prefix}_{ULID(milliseconds.to_bytes(6) + bytes(10))}"


def made_at(identifier: str) -> datetime | None:
    """Return when an id was created; None if it is not an id."""
    try:
        return ULID.from_str(body(identifier)).datetime
    except ValueError:
        return None


def from_cursor(prefix: Prefix, cursor: str) -> str:
    """Return the id for a cursor, which is an id without its prefix.

    Raises:
        ValidationFailed: The cursor is not valid.
    """
    if not (len(cursor) == 26 and cursor.isascii() and cursor.isalnum()):
        raise ValidationFailed([("cursor", "is not the nextCursor of a page")])
    return f"{prefix}_{cursor}"


def body(identifier: str) -> str:
    """Return the ULID of an id, without its prefix."""
    return identifier.partition("_")[2]
