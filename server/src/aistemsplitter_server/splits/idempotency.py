"""``Idempotency-Key``: a request that comes twice is carried out once and answered alike.

Only successes are remembered, in the transaction that makes them; after a failure nothing was
written and a retry is safe.
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

# One row in any case: whether the key is held now, and what was answered, if anything was. On
# SQLite a writer is alone anyway.
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
    """What is the same for the same body, however it is spaced and ordered."""
    body = json.dumps(request.model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()


@contextmanager
def alone(account_id: str, key: str | None) -> Iterator[None]:
    """Hold a key while its request runs in this process.

    Raises:
        IdempotencyInProgress: another one holds it.
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
    """What the first request with this key was answered.

    None where there was none: then the key is held against all other processes till the end of the
    transaction.

    Raises:
        IdempotencyMismatch: it had another body.
        IdempotencyInProgress: another process holds the key.
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
    """Keep an answer for a day.

    Raises:
        IdempotencyInProgress: another process held the key when ``begin`` looked for its answer,
            and has let go of it by when ``begin`` took it.
    """
    row = {"account_id": account_id, "key": key, "fingerprint": print_, "answer": answer}
    now = times.now()
    put = session.execute(_PUT, {**row, "created_at": now, "forgotten": now - KEPT})
    if put.first() is None:
        raise IdempotencyInProgress
