"""Names of folders that every common file system tells apart, and that the output's can hold."""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
from functools import cache
from pathlib import Path

_NOT_EVERYWHERE = frozenset('"*:<>?\\|') | frozenset(map(chr, range(1, 32)))
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul"] + [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
)
_LONG = 100  # bytes; encrypted folders hold no names of more than 143
_OTHER_REASONS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EEXIST)


def comparable(path: Path) -> tuple[str, ...]:
    """Return what is equal for two paths that some file system takes for the same.

    APFS, NTFS and exFAT ignore case, APFS also how accents are composed, and Windows ignores dots
    and spaces at the end.
    """
    return tuple(
        unicodedata.normalize("NFC", unicodedata.normalize("NFD", part).casefold()).rstrip(" .")
        or part
        for part in path.parts
    )


class OutputFileSystem:
    """What the file system that an output folder is on, or will be, accepts as names."""

    def __init__(self, output: Path) -> None:
        existing = (path for path in (output, *output.absolute().parents) if _exists(path))
        self._folder = next(existing, Path())
        self._refuses = cache(self._try)
        self._fitted = cache(self._fit)

    def fitted(self, place: Path) -> Path:
        """Return a path whose names it can hold: they are replaced as little as necessary."""
        return Path(*map(self._fitted, place.parts))

    def _fit(self, name: str) -> str:
        odd = "".join(sorted(_NOT_EVERYWHERE.intersection(name)))
        if odd and self._refuses(odd):
            name = "".join("_" if letter in odd else letter for letter in name)
        if sys.platform == "win32" and name.partition(".")[0].casefold() in _WINDOWS_DEVICES:
            name = f"_{name}"
        if len(os.fsencode(name)) > _LONG:
            name = _shortened(name, self._longest_name())
        return name

    def _try(self, characters: str) -> bool:
        """Create a folder to find out whether names with these characters are refused."""
        probe = self._folder / f".aistemsplitter-{os.getpid()}{characters}"
        try:
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            return error.errno not in _OTHER_REASONS
        return False

    def _longest_name(self) -> int:
        """Return the most bytes that a name may have."""
        try:
            return os.pathconf(self._folder, "PC_NAME_MAX")
        except (AttributeError, OSError, ValueError):  # Windows counts characters
            return 255


def _shortened(name: str, most: int) -> str:
    """Return a name of at most so many bytes, which keeps the extension."""
    raw = os.fsencode(name)
    if len(raw) <= most:
        return name
    suffix = os.fsencode(Path(name).suffix[:16])
    start = raw[: most - len(suffix)].decode("utf-8", "ignore")
    return start.rstrip() + os.fsdecode(suffix)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
