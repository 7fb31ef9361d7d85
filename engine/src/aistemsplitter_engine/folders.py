"""The user's folders that weights and compiled networks are kept in."""

from __future__ import annotations

from pathlib import Path

NO_HOME = Path("/nonexistent/aistemsplitter")
"""Stands for the folders of a user without a home, as in some containers: Debian names such a home
so, and it does not exist. Nothing is found there and, without rights, nothing can be created."""


def cache_folder() -> Path:
    """Return the folder of what can be computed again; it need not exist."""
    from platformdirs import user_cache_path

    try:
        return user_cache_path("aistemsplitter")
    except RuntimeError:
        return NO_HOME


def data_folder() -> Path:
    """Return the folder of what is downloaded; it need not exist."""
    from platformdirs import user_data_path

    try:
        return user_data_path("aistemsplitter", appauthor=False)
    except RuntimeError:
        return NO_HOME
