"""Paths of the API that several modules use."""

from __future__ import annotations

from urllib.parse import quote

from aistemsplitter._errors import InputError


def id_of(split: object) -> str:
    """Return the id of a split: of the object that has it, or the id itself."""
    found = getattr(split, "id", split)
    if not isinstance(found, str) or not found.strip(". "):
        given = repr(found) if isinstance(found, str) else type(split).__name__
        raise InputError(f"{given} is not a split or a split's id, such as split_01J...")
    return found


def split_path(split: object) -> str:
    """Return the path of a split, given its id or object."""
    return f"/audio/splits/{quote(id_of(split), safe='')}"  # an id stays one segment
