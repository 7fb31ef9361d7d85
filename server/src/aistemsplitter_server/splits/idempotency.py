"""``Idempotency-Key``: a request that is repeated runs once and gets the same response.

Only successes are remembered, in the transaction that makes them. After a failure nothing was
written, so a retry is safe.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import JSON, bindparam, text
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import UtcTime
from aistemsplitter_server.kit.errors import (
    IdempotencyInProgress,
    IdempotencyMismatch,
)
from aistemsplitter_server.splits.schemas import CreateSplit

KEPT = timedelta(hours=24)

# Always one row: whether the key is locked now, and the earlier response, if any. On SQLite there
# is only one writer anyway.
_HELD = {"postgresql": "pg_try_advisory_xact_lock(:number)", "sqlite": ":number IS NOT NULL"}
_BEGIN = {
    name: text(
        f"SELECT {held} AS held, fingerprint, answer, created_at FROM (SELECT 1) AS one"
        " LEFT JOIN idempotency_keys ON account_id = :account_id AND key = :key"
    ).columns(answer=JSON, created_at=UtcTime)
    for name, held in _HELD.items()
}
# Insert a row, or bring the one up to date that is too old to count; one that counts is left alone.
# In SQL's own words, which both databases understand: SQLAlchemy would put its own into words anew
# each time.
_PUT = text(
    "INSERT INTO idempotency_keys (account_id, key, fingerprint, answer, created_at)"
    " VALUES (:account_id, :key, :fingerprint, :answer, :created_at)"
    " ON CONFLICT (account_id, key) DO UPDATE SET fingerprint = excluded.fingerprint,"
    " answer = excluded.answer, created_at = excluded.created_at"
    " WHERE idempotency_keys.created_at < :forgotten RETURNING key"
).bindparams(
    bindparam("answer", type_=JSON),
    bindparam("created_at", type_=UtcTime),
    bindparam("forgotten", type_=UtcTime),
)

_running: set[tuple[str, str]] = set()
_lock = threading.Lock()


def fingerprint(request: CreateSplit) -> str:
    """Return a hash of the request, the same for any spacing and order of its JSON."""
    body = json.dumps(request.model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()


@contextmanager
def exclusive(account_id: str, key: str | None) -> Iterator[None]:
    """Reserve a key in this process while its request runs.

    Raises:
        IdempotencyInProgress: Another request of this process has the key.
    """
    if key is None:
        yield
        return
    held = (account_id, key)
    with _lock:
        if held in _running:
            raise IdempotencyInProgress
        _running.add(held)
    try:
        yield
    finally:
        with _lock:
            _running.discard(held)


def begin(session: Session, account_id: str, key: str, print_: str) -> dict[str, Any] | None:
    """Return the response to the first request with this key.

    Without one, return None and lock the key against all other processes until the end of the
    transaction.

    Raises:
        IdempotencyMismatch: The first request had another body.
        IdempotencyInProgress: Another process has the key.
    """
    number = hashlib.sha256(f"{account_id} {key}".encode()).digest()[:8]
    asked = {"account_id": account_id, "key": key, "number": int.from_bytes(number, signed=True)}
    row = session.execute(_BEGIN[session.get_bind().dialect.name], asked).one()
    if row.fingerprint is None or row.created_at < times.now() - KEPT:
        if not row.held:
            raise IdempotencyInProgress
        return None
    if row.fingerprint != print_:
        raise IdempotencyMismatch
    answer: dict[str, Any] = row.answer
    return answer


def remember(
    session: Session, account_id: str, key: str, print_: str, answer: dict[str, Any]
) -> None:
    """Remember a response for a day.

    Raises:
        IdempotencyInProgress: Another process had the key when ``begin`` looked for its response,
            and released it before ``begin`` locked it.
    """
    row = {"account_id": account_id, "key": key, "fingerprint": print_, "answer": answer}
    now = times.now()
    put = session.execute(_PUT, {**row, "created_at": now, "forgotten": now - KEPT})
    if put.first() is None:
        raise IdempotencyInProgress
