"""Helpers of the download tests, and the content of a stem."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from aistemsplitter.testing import Reply

STEM = os.urandom(300_000)  # needs several reads of a socket
STEMS = ["drums", "bass", "other", "vocals"]
STORAGE = "^/storage/"  # path of the requests for stems


def names_in(folder: Path) -> list[str]:
    """Return the names of a folder's files, sorted."""
    return sorted(path.name for path in folder.iterdir())


def without(*names: str) -> Callable[[Reply], Reply]:
    """Return a function that removes headers from a reply."""

    def change(reply: Reply) -> Reply:
        kept = {name: value for name, value in reply.headers.items() if name not in names}
        return replace(reply, headers=kept)

    return change
