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

from sqlalchemy import BigInteger, ColumnElement, and_, bindparam, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import (
    IdempotencyInProgress,
    IdempotencyMismatch,
)
from aistemsplitter_server.splits.schemas import CreateSplit
from aistemsplitter_server.splits.tables import IdempotencyKey

KEPT = timedelta(hours=24)

_KEYS = IdempotencyKey.__table__.c
# Always one row: whether the key is locked now, and the earlier response, if any. On SQLite there
# is only one writer anyway.
_LOCKED: dict[str, ColumnElement[bool]] = {
    "postgresql": func.pg_try_advisory_xact_lock(bindparam("number", type_=BigInteger)),
    "sqlite": bindparam("number", type_=BigInteger).is_not(None),
}
_ONE_ROW = select(literal(1)).subquery()
_BEGIN = {
    dialect: select(
        locked.label("locked"), _KEYS.fingerprint, _KEYS.answer, _KEYS.created_at
    ).select_from(
        _ONE_ROW.outerjoin(
            IdempotencyKey.__table__,
            and_(_KEYS.account_id == bindparam("account_id"), _KEYS.key == bindparam("key")),
        )
    )
    for dialect, locked in _LOCKED.items()
}
# Inserts a row, or replaces one that has expired. One that is still valid is left alone.
_PUT = {
    dialect.dialect.name: (row := dialect.insert(IdempotencyKey.__table__))
    .on_conflict_do_update(
        index_elements=[_KEYS.account_id, _KEYS.key],
        set_={name: row.excluded[name] for name in ("fingerprint", "answer", "created_at")},
        where=_KEYS.created_at < bindparam("expired_before"),
    )
    .returning(_KEYS.key)
    for dialect in (sqlite, postgresql)
}

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
        if not row.locked:
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
    put = _PUT[session.get_bind().dialect.name]
    put_row = session.execute(put, {**row, "created_at": now, "expired_before": now - KEPT}).first()
    if put_row is None:
        raise IdempotencyInProgress
