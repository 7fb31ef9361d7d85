"""Text in messages."""

from pathlib import Path

_LONGEST_EXCERPT = 100  # characters


def printable(text: str | Path) -> str:
    """Return the text as one line that does nothing to a terminal, whatever is in it."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def excerpt(value: object) -> str:
    """Return the beginning of a hostile file's value or name, as text for a message."""
    text = str(value)
    shown = printable(text[:_LONGEST_EXCERPT])
    return shown if len(text) <= _LONGEST_EXCERPT else f"{shown[:-3]}..."
