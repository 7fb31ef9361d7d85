"""Idempotency keys: checked, and given out to the submissions of one client."""

from __future__ import annotations

import hashlib
import threading

from aistemsplitter._errors import InputError

LONGEST = 255  # characters, by the API's limit


def check_key(key: object) -> str:
    """Return the key, or raise InputError if the API would refuse it."""
    if not isinstance(key, str):
        raise InputError(f"idempotency_key= is a string, not {type(key).__name__}")
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= LONGEST and key == key.strip()):
        raise InputError("an idempotency key has 1 to 255 printable ASCII characters")
    return key


class IdempotencyKeys:
    """Keys for the submissions of a client made by ``with_options(idempotency_key=...)``.

    A key belongs to one request body; the API refuses it with another. So the first submission
    gets the key as it is, each different one after it gets the key with ``-2``, ``-3`` and so on,
    and a repeated one its earlier key. A program that repeats its submissions in the same order,
    after a crash for example, repeats their keys.
    """

    def __init__(self, key: str) -> None:
        self.key = check_key(key)
        self._lock = threading.Lock()
        self._keys: dict[bytes, str] = {}

    def key_for(self, body: bytes) -> str:
        """Return the key of a request with this body."""
        digest = hashlib.sha256(body).digest()
        with self._lock:
            if digest not in self._keys:
                count = len(self._keys) + 1
                self._keys[digest] = check_key(self.key if count == 1 else f"{self.key}-{count}")
            return self._keys[digest]
