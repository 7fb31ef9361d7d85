"""File names that users chose, made fit for file systems, archives and headers."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

MAX_BYTES = 240
"""Of a name in UTF-8. File systems take 255; browsers append `` (1)`` to a name that exists."""

_FORBIDDEN = set('/\\:*?"<>|%')
_JOINERS = {"\u200c", "\u200d"}  # within words of Persian and Indic scripts, and within emoji
_MAX_EXTENSION = 16


def visible(text: str) -> str:
    """Return the text without characters that cannot be seen or that change how others look.

    Characters that Python's Unicode tables do not know yet are kept: they are new emoji.
    """
    letters = "".join(filter(_is_visible, text))
    return letters if any(not _is_joiner(letter) for letter in letters) else ""


def clip(name: str, max_bytes: int = MAX_BYTES) -> str:
    """Return the start of a name that fits into ``max_bytes`` of UTF-8."""
    encoded = name.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return name
    return encoded[: max(0, max_bytes)].decode("utf-8", "ignore").rstrip("\u200d ")


def safe(name: str) -> str:
    """Return a name that is no path, is not hidden, and that every common file system can hold."""
    letters = ("_" if letter in _FORBIDDEN else letter for letter in visible(name))
    safe_name = "".join(letters).strip(" .")
    extension = PurePosixPath(safe_name).suffix
    if len(extension) > _MAX_EXTENSION:
        extension = ""
    start = safe_name.removesuffix(extension)
    return clip(start, MAX_BYTES - len(extension.encode())).rstrip(" .") + extension or "audio"


def _is_visible(letter: str) -> bool:
    match unicodedata.category(letter):
        case "Cc" | "Cs" | "Co":  # control characters, lone surrogates, private use
            return False
        case "Cf":  # such as those that turn the direction of writing
            return _is_joiner(letter)
        case "Cn":
            return not _is_noncharacter(ord(letter))
    return True


def _is_joiner(letter: str) -> bool:
    """Return whether a format character is part of a word or of an emoji, such as a flag."""
    return letter in _JOINERS or "\U000e0020" <= letter <= "\U000e007f"


def _is_noncharacter(code: int) -> bool:
    """Return whether a code point never will be a character, or is reserved as invisible."""
    return (
        code & 0xFFFE == 0xFFFE
        or 0xFDD0 <= code <= 0xFDEF
        or 0xFFF0 <= code <= 0xFFF8
        or 0xE0000 <= code <= 0xE0FFF
        or code == 0x2065
    )
