"""Paths of the API that more than one module asks for."""

from __future__ import annotations

from urllib.parse import quote

from aistemsplitter._errors import InputError


def split_path(split_id: str) -> str:
    """The path of a split; an id never becomes more than one segment of it."""
    if not isinstance(split_id, str) or not split_id.strip(". "):
        raise InputError("a split's id is a string such as split_01J...")
    return f"/audio/splits/{quote(split_id, safe='')}"
