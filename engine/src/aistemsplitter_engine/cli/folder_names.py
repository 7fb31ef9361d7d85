"""Folder names that are distinct on all common file systems and valid on the output's."""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
from functools import cache
from pathlib import Path

NOT_EVERYWHERE = frozenset('"*:<>?\\|') | frozenset(map(chr, range(1, 32)))
WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul"] + [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
)
_LONG = 100  # bytes; encrypted folders hold no names of more than 143
_OTHER_REASONS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EEXIST)


def comparable(path: Path) -> tuple[str, ...]:
    """Return a key that is equal for two paths that some file system considers the same.

    APFS, NTFS and exFAT ignore case, APFS also how accents are composed, and Windows ignores dots
    and spaces at the end.
    """
    return tuple(
        unicodedata.normalize("NFC", unicodedata.normalize("NFD", part).casefold()).rstrip(" .")
        or part
        for part in path.parts
    )


class OutputFileSystem:
    """The file system of an output folder, which may not exist yet, and its valid names."""

    def __init__(self, output: Path) -> None:
        existing = (path for path in (output, *output.absolute().parents) if _exists(path))
        self._folder = next(existing, Path())
        self._refuses = cache(self._try)
        self._fitted = cache(self._fit)

    def fitted(self, place: Path) -> Path:
        """Return the path with valid names, changed as little as necessary."""
        return Path(*map(self._fitted, place.parts))

    def cut(self, text: str, others: int, times: int) -> str:
        """Return the text, cut so that a name can hold it ``times`` times and ``others`` bytes."""
        size = len(os.fsencode(text))
        if times == 0 or others + size * times <= _LONG:
            return text
        return _shortened(text, (self._longest_name() - others) // times)

    def _fit(self, name: str) -> str:
        odd = "".join(sorted(NOT_EVERYWHERE.intersection(name)))
        if odd and self._refuses(odd):
            name = "".join("_" if letter in odd else letter for letter in name)
        if sys.platform == "win32" and name.partition(".")[0].casefold() in WINDOWS_DEVICES:
            name = f"_{name}"
        if len(os.fsencode(name)) > _LONG:
            name = _shortened(name, self._longest_name())
        return name

    def _try(self, characters: str) -> bool:
        """Return whether names with these characters are refused, by creating a folder."""
        probe = self._folder / f".aistemsplitter-{os.getpid()}{characters}"
        try:
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            return error.errno not in _OTHER_REASONS
        return False

    def _longest_name(self) -> int:
        """Return the maximum length of a name in bytes."""
        try:
            return os.pathconf(self._folder, "PC_NAME_MAX")
        except (AttributeError, OSError, ValueError):  # Windows counts characters
            return 255


def _shortened(name: str, most: int) -> str:
    """Return the name, cut to ``most`` bytes, with its extension."""
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
