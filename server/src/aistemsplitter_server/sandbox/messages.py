"""Text from a confined process, which a hostile file may have written."""

from __future__ import annotations

LONGEST = 400  # characters


def printable(text: object) -> str:
    """Return text that is safe to log and show: one line of limited length."""
    return "".join(filter(str.isprintable, str(text)))[:LONGEST]
