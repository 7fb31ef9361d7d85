"""Ids: a prefix that says what it names, and a ULID, so that they sort by time."""

from __future__ import annotations

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
    "wrk",
    "usr",
    "ses",
    "lnk",
    "shr",
    "pur",
]


def new(prefix: Prefix) -> str:
    """A new id, such as ``split_01JTB3Y6M8Q4W2N7C5D9E0F1GH``."""
    return f"{prefix}_{ULID()}"


def from_cursor(prefix: Prefix, cursor: str) -> str:
    """The id whose body a caller was given as a cursor.

    Raises:
        ValidationFailed: it is none.
    """
    if not (len(cursor) == 26 and cursor.isascii() and cursor.isalnum()):
        raise ValidationFailed([("cursor", "is not the nextCursor of a page")])
    return f"{prefix}_{cursor}"


def body(identifier: str) -> str:
    """The ULID of an id, without its prefix."""
    return identifier.partition("_")[2]
