"""API paths of splits and uploads."""

from __future__ import annotations

from urllib.parse import quote

from aistemsplitter._errors import InputError


def id_of(split: object) -> str:
    """Return a split's id, given the id itself or an object that has it.

    Raises:
        InputError: The argument is neither.
    """
    found = getattr(split, "id", split)
    if not isinstance(found, str) or not found.strip(". "):
        given = repr(found) if isinstance(found, str) else type(split).__name__
        raise InputError(f"{given} is not a split: pass a split or its id, such as split_01J...")
    return found


def split_path(split: object) -> str:
    """Return the API path of a split, given its id or an object that has it."""
    return f"/audio/splits/{quote(id_of(split), safe='')}"  # even an odd id stays one path segment


def upload_id_of(upload: object) -> str:
    """Return an upload's id, given the id itself or an object that has it.

    Raises:
        InputError: The argument is neither.
    """
    found = getattr(upload, "upload_id", upload)
    if not isinstance(found, str) or not found.strip(". "):
        given = repr(found) if isinstance(found, str) else type(upload).__name__
        raise InputError(f"{given} is not an upload: pass an upload or its id, such as upl_01J...")
    return found


def upload_path(upload: object) -> str:
    """Return the API path of an upload, given its id or an object that has it."""
    return f"/audio/uploads/{quote(upload_id_of(upload), safe='')}"
