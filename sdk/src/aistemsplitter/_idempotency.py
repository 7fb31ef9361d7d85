"""Idempotency keys: validation, and one key for each submission of a client."""

from __future__ import annotations

import hashlib
import threading

from aistemsplitter._errors import InputError

LONGEST = 255  # characters; the API's limit


def check_key(key: object) -> str:
    """Return the idempotency key if the API accepts it.

    Raises:
        InputError: The API would reject the key.
    """
    if not isinstance(key, str):
        raise InputError(f"idempotency_key= must be a string, not {type(key).__name__}")
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= LONGEST and key == key.strip()):
        raise InputError(
            "an idempotency key must have 1 to 255 printable ASCII characters, and no space at"
            " its ends"
        )
    return key


class IdempotencyKeys:
    """Keys for the submissions of a client created by ``with_options(idempotency_key=...)``.

    The API accepts a key with one request body only. So the first submission gets the key itself,
    each further, different one gets the key with ``-2``, ``-3`` and so on appended, and a repeated
    one gets its earlier key. A program that repeats its submissions in the same order, for example
    after a crash, therefore repeats their keys.
    """

    def __init__(self, key: str) -> None:
        self.key = check_key(key)
        self._lock = threading.Lock()
        self._keys: dict[bytes, str] = {}

    def key_for(self, body: bytes) -> str:
        """Return the key for a request with this body."""
        digest = hashlib.sha256(body).digest()
        with self._lock:
            if digest not in self._keys:
                count = len(self._keys) + 1
                self._keys[digest] = check_key(self.key if count == 1 else f"{self.key}-{count}")
            return self._keys[digest]
