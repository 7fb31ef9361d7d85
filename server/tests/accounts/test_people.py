from __future__ import annotations

import threading
import time

import pytest

from aistemsplitter_server.accounts import people
from aistemsplitter_server.kit.errors import Unavailable


def test_password_hashing_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a sign-in is refused immediately and occupies no thread."""
    monkeypatch.setattr(people, "_room", threading.Semaphore(3))
    monkeypatch.setattr(people, "_places", threading.Semaphore(0))  # no place is free
    waiting = [threading.Thread(target=people.hashed, args=("x" * 10,)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    while people._room._value:
        time.sleep(0.01)
    with pytest.raises(Unavailable):
        people.hashed("x" * 10)
    people._places.release(1)
    for thread in waiting:
        thread.join()
    people.verify("x" * 10, people.hashed("x" * 10))
