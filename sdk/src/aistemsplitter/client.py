"""The module in which version 0.1 had its names. Deprecated; import from ``aistemsplitter``."""

from aistemsplitter._legacy import (
    DEFAULT_BASE_URL,
    AIStemSplitter,
    AIStemSplitterError,
    Sleep,
    Transport,
)

__all__ = ["DEFAULT_BASE_URL", "AIStemSplitter", "AIStemSplitterError", "Sleep", "Transport"]
