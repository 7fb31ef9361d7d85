"""Names of version 0.1 in their old module. Deprecated: import from ``aistemsplitter``."""

from aistemsplitter._legacy import (
    DEFAULT_BASE_URL,
    AIStemSplitter,
    AIStemSplitterError,
    Sleep,
    Transport,
)

__all__ = ["DEFAULT_BASE_URL", "AIStemSplitter", "AIStemSplitterError", "Sleep", "Transport"]
