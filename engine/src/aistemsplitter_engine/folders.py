"""The user's folders for models and for the cache of compiled models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

NO_HOME = Path("/nonexistent/aistemsplitter")
"""In place of the folders of a user without a home, as in some containers.

Debian uses this name for such a home. It does not exist, so nothing is found there, and nothing is
written without rights.
"""


def cache_folder() -> Path:
    """Return the folder of what can be computed again; it need not exist."""
    from platformdirs import user_cache_path

    return _absolute(lambda: user_cache_path("aistemsplitter"))


def data_folder() -> Path:
    """Return the folder of what is downloaded; it need not exist."""
    from platformdirs import user_data_path

    return _absolute(lambda: user_data_path("aistemsplitter", appauthor=False))


def expanded(path: str) -> Path:
    """Return a path with ``~`` replaced by the user's home."""
    return _absolute(lambda: Path(path).expanduser()) if path.startswith("~") else Path(path)


def _absolute(find: Callable[[], Path]) -> Path:
    """Return what ``find`` does, or a folder that does not exist for a user without a home.

    Python and the versions of platformdirs either raise different errors then, or leave ``~`` as
    it is, which would be a folder of that name in the current one.
    """
    try:
        folder = find()
    except (RuntimeError, KeyError, OSError):
        return NO_HOME
    return folder if folder.is_absolute() else NO_HOME
