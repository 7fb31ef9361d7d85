"""The names of a network's sources, which become the names of files."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from aistemsplitter_engine.errors import ModelError

MOST_SOURCES = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,62}", re.ASCII)
_DEVICES = frozenset(  # of Windows
    ["con", "prn", "aux", "nul"] + [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
)


def check_sources(sources: Sequence[str], reserved: Collection[str]) -> None:
    """Raise :class:`ModelError` if the names are not distinct, not file names, or ``reserved``.

    Case does not count, as on many file systems.
    """
    if not 1 <= len({source.casefold() for source in sources}) == len(sources) <= MOST_SOURCES:
        raise ModelError("the checkpoint's sources are not distinct names")
    for source in sources:
        folded = source.casefold()
        if not _NAME.fullmatch(source) or folded in _DEVICES or folded in reserved:
            raise ModelError(f"the checkpoint names a source {source!r}, not supported")
