"""The names of objects.

    uploads/<upload id>
    fetched/<split id>
    splits/<split id>/<attempt>/<stem>.<extension>
    splits/<split id>/<attempt>/<stem or mixture>.pieces    what the player hears,
    splits/<split id>/<attempt>/player.json                 and where in it what lies

A key is made of segments that begin with a letter or a digit, so none is ``.`` or ``..``, hidden,
empty or absolute: whatever a key is joined to, it stays below it.
"""

from __future__ import annotations

import re

LONGEST = 512  # bytes; the cloud storages take 1024
LONGEST_SEGMENT = 128  # file systems take 255
SEGMENT = rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST_SEGMENT - 1}}}"
SHAPE = re.compile(rf"{SEGMENT}(?:/{SEGMENT})*", re.ASCII)


class InvalidKey(ValueError):
    """What was given is no key."""


def segments(key: str) -> list[str]:
    """The key's segments.

    Raises:
        InvalidKey: it is none.
    """
    if len(key) > LONGEST or not SHAPE.fullmatch(key):
        raise InvalidKey("not a key of the storage")
    return key.split("/")


def upload(upload_id: str) -> str:
    """The key of an uploaded file."""
    return _checked(f"uploads/{upload_id}", 2)


def fetched(split_id: str) -> str:
    """The key of a song that was fetched from its URL."""
    return _checked(f"fetched/{split_id}", 2)


def source(split_id: str, upload_id: str | None) -> str:
    """The key of the song that a split is of; one without an upload was fetched."""
    return fetched(split_id) if upload_id is None else upload(upload_id)


def split(split_id: str) -> str:
    """The prefix of all that a split's attempts have made."""
    return _checked(f"splits/{split_id}", 2)


def attempt(split_id: str, number: int) -> str:
    """The prefix of what one attempt has made."""
    return _checked(f"splits/{split_id}/{number}", 3)


def stem(split_id: str, number: int, name: str, extension: str) -> str:
    """The key of one stem of one attempt."""
    return _checked(f"splits/{split_id}/{number}/{name}.{extension}", 4)


def pieces(split_id: str, number: int, track: str) -> str:
    """The key of a track as the player hears it."""
    return stem(split_id, number, track, "pieces")


def player(split_id: str, number: int) -> str:
    """The key of what the player has to know."""
    return _checked(f"splits/{split_id}/{number}/player.json", 4)


def _checked(key: str, depth: int) -> str:
    if len(segments(key)) != depth:
        raise InvalidKey("not a key of the storage")
    return key
