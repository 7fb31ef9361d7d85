"""File names for stems and songs that are safe on every operating system."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Device names on Windows, with any extension.
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)")
EXTENSIONS = {"alac": "m4a"}  # of files of other formats, their names
LONGEST = 80  # characters of up to 3 bytes: with a suffix, below the common limit of 255 bytes


def file_stem(name: str) -> str:
    """Return a safe file name without an extension.

    The result stays in its folder, is not hidden, and is not reserved on Windows.
    """
    safe = re.sub(r"[^\w .()+-]", "_", name).strip(" .")[:LONGEST].rstrip(" .")
    safe = re.sub(r"\.{2,}", ".", safe)
    if not safe:
        return "stem"
    return f"_{safe}" if RESERVED.match(safe) else safe


def file_suffix(output_format: str | None) -> str:
    """Return the file extension of an output format, with its dot; ``.wav`` without a format."""
    safe = re.sub(r"[^a-z0-9]", "", (output_format or "").lower())[:8]
    safe = EXTENSIONS.get(safe, safe)
    return f".{safe or 'wav'}"


def file_names(stems: Iterable[str], output_format: str | None) -> dict[str, str]:
    """Return a file name for each stem; no two differ only in case."""
    suffix, names, taken = file_suffix(output_format), {}, set[str]()
    for stem in stems:
        base = name = file_stem(stem)
        count = 1
        while name.casefold() in taken:
            count += 1
            name = f"{base}-{count}"
        taken.add(name.casefold())
        names[stem] = name + suffix
    return names
