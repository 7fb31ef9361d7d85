"""The format of API keys: ``ast_live_`` or ``ast_test_``, then id, secret and checksum.

The id (26 characters, a ULID) identifies the row, and the secret (32) authenticates the caller. The
checksum (6) lets a mistyped key be refused without a query, and lets secret scanners recognise
leaked keys without doubt.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_LENGTH = 32  # letters and digits: 190 bits
CHECKSUM_LENGTH = 6  # letters and digits, which hold the 32 bits of a CRC
SHAPE = re.compile(
    rf"(ast_(?:live|test)_)([0-9A-HJKMNP-TV-Z]{{26}})[0-9A-Za-z]{{{SECRET_LENGTH}}}"
    rf"([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})",
    re.ASCII,
)


def make(key_id: str, *, test: bool) -> str:
    """Return a new random key for the row ``key_...``."""
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    start = f"ast_{'test' if test else 'live'}_{key_id.removeprefix('key_')}{secret}"
    return start + _checksum(start)


def key_id(api_key: str) -> str | None:
    """Return the id of the row that a key belongs to; None if it is not a key at all."""
    match = SHAPE.fullmatch(api_key)
    if match is None or _checksum(api_key[:-CHECKSUM_LENGTH]) != match[3]:
        return None
    return f"key_{match[2]}"


def _checksum(start: str) -> str:
    number, letters = zlib.crc32(start.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        letters += ALPHABET[digit]
    return letters
