"""File names from names that a server gave, safe on every system and in every folder."""

from __future__ import annotations

import re
from collections.abc import Iterable

# CON, NUL and their like are devices on Windows, with any suffix.
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)")
LONGEST = 80  # characters, of up to three bytes after NFC: under the 255 bytes of most file systems


def file_stem(name: str) -> str:
    """The name without what leads out of a folder, hides a file or means something to a system."""
    safe = re.sub(r"[^\w .()+-]", "_", name).strip(" .")[:LONGEST].rstrip(" .")
    safe = re.sub(r"\.{2,}", ".", safe)
    if not safe:
        return "stem"
    return f"_{safe}" if RESERVED.match(safe) else safe


def file_suffix(output_format: str | None) -> str:
    """The suffix of an output format, with its dot; ``.wav`` where none is told."""
    safe = re.sub(r"[^a-z0-9]", "", (output_format or "").lower())[:8]
    return f".{safe or 'wav'}"


def file_names(stems: Iterable[str], output_format: str | None) -> dict[str, str]:
    """One file name for each stem, none twice, also where upper and lower case are the same."""
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
