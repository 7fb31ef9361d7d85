"""Text in messages."""

from pathlib import Path


def printable(text: str | Path) -> str:
    """Return the text as one line that does nothing to a terminal, whatever is in it."""
    return "".join(c if c.isprintable() else "?" for c in str(text))
