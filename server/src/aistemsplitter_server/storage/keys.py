"""The keys of objects.

    uploads/<upload id>
    fetched/<split id>
    splits/<split id>/<attempt>/<stem>.<extension>
    splits/<split id>/<attempt>/<stem or mixture>.pieces    the listening copies,
    splits/<split id>/<attempt>/player.json                 and their index
    checkpoints/<split id>/<attempt>/<name>                 a long song's unfinished stems
    partial/<upload id>                                     the end of an unfinished upload on S3
    installation/id                                         whose storage it is
    check                                                   written to check the storage

The segments of a key begin with a letter or a digit, so none is ``.`` or ``..``, hidden, empty or
absolute: a path joined with a key stays below where it began.
"""

from __future__ import annotations

import re

LONGEST = 512  # bytes; cloud storages take 1024
LONGEST_SEGMENT = 128  # file systems take 255
SEGMENT = rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST_SEGMENT - 1}}}"
SHAPE = re.compile(rf"{SEGMENT}(?:/{SEGMENT})*", re.ASCII)


PIECES = "pieces"  # extension of listening copies
CHECK = "check"
UPLOADS, FETCHED, SPLITS = "uploads", "fetched", "splits"
PARTIAL, INSTALLATION = "partial", "installation"
CHECKPOINTS = "checkpoints"


class InvalidKey(ValueError):
    """The string is not a key."""


def segments(key: str) -> list[str]:
    """Return the segments of a key.

    Raises:
        InvalidKey: The string is not a key.
    """
    if not is_valid(key):
        raise InvalidKey("not a key of the storage")
    return key.split("/")


def is_valid(key: str) -> bool:
    """Return whether a string is a key."""
    return len(key) <= LONGEST and SHAPE.fullmatch(key) is not None


def upload(upload_id: str) -> str:
    """Return the key of an uploaded file."""
    return _checked(f"{UPLOADS}/{upload_id}", 2)


def fetched(split_id: str) -> str:
    """Return the key of a song that was fetched from its URL."""
    return _checked(f"{FETCHED}/{split_id}", 2)


def source(split_id: str, upload_id: str | None) -> str:
    """Return the key of a split's song: its upload, or else the file that was fetched."""
    return fetched(split_id) if upload_id is None else upload(upload_id)


def split(split_id: str) -> str:
    """Return the prefix of all that a split's attempts have stored."""
    return _checked(f"{SPLITS}/{split_id}", 2)


def attempt(split_id: str, number: int) -> str:
    """Return the prefix of what one attempt has stored."""
    return _checked(f"{SPLITS}/{split_id}/{number}", 3)


def checkpoints(split_id: str) -> str:
    """Return the prefix of a split's checkpoints."""
    return _checked(f"{CHECKPOINTS}/{split_id}", 2)


def checkpoint(split_id: str, number: int, name: str) -> str:
    """Return the key of a file of one attempt's checkpoints."""
    return _checked(f"{CHECKPOINTS}/{split_id}/{number}/{name}", 4)


def stem(split_id: str, number: int, name: str, extension: str) -> str:
    """Return the key of a stem of one attempt."""
    return _checked(f"{SPLITS}/{split_id}/{number}/{name}.{extension}", 4)


def pieces(split_id: str, number: int, track: str) -> str:
    """Return the key of a track's listening copy."""
    return stem(split_id, number, track, PIECES)


def player(split_id: str, number: int) -> str:
    """Return the key of the index of the listening copies."""
    return _checked(f"{SPLITS}/{split_id}/{number}/player.json", 4)


def _checked(key: str, depth: int) -> str:
    if len(segments(key)) != depth:
        raise InvalidKey("not a key of the storage")
    return key
