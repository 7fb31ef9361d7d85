"""Finishing the suspension or deletion of accounts: cancelling splits and erasing data.

The command and the pages only set the account's state. Whatever runs ``finish`` does the rest,
however often processes die in between. Until then nothing of the account runs, because every job
checks the state when it begins.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    delete,
    exists,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.tables import (
    DELETED,
    DELETING,
    SUSPENDED,
    Account,
    AccountLimit,
    ApiKey,
    Link,
    Person,
    SignIn,
)
from aistemsplitter_server.audit import queries as audit_queries
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Base, Database
from aistemsplitter_server.splits import deletion, queries, service
from aistemsplitter_server.splits.tables import (
    TERMINAL,
    IdempotencyKey,
    Listening,
    PlayerState,
    Share,
    Split,
)
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Endpoint, Event, Receiver

logger = logging.getLogger(__name__)

BATCH = 500  # rows in a transaction, and splits that one request cancels
# Texts that users chose, or that quote them.
BLANK_SPLIT: dict[Any, Any] = {
    Split.filename: "",
    Split.input_url: None,
    Split.webhook_url: None,
    Split.output: None,
    Split.split_metadata: {},
    Split.warnings: [],
    Split.error_message: case((Split.error_code.is_not(None), "")),
}
BLANK_UPLOAD: dict[Any, Any] = {
    Upload.filename: "",
    Upload.content_type: "",
    Upload.idempotency_key: None,
    Upload.fault_message: None,
}


def unfinished(session: Session) -> Sequence[str]:
    """Return the ids of accounts whose suspension or deletion is not finished."""
    splits = exists().where(Split.account_id == Account.id, Split.status.not_in(TERMINAL))
    waiting = or_(Account.state == DELETING, and_(Account.state == SUSPENDED, splits))
    return session.scalars(select(Account.id).where(waiting)).all()


def finish(database: Database, account_id: str) -> None:
    """Continue what suspending or deleting an account has begun."""
    cancel_splits(database, account_id)
    with database.read() as session:
        state = session.get_one(Account, account_id).state
    if state == DELETING:
        erase(database, account_id)


def cancel_splits(database: Database, account_id: str, most: int | None = None) -> None:
    """Cancel an account's splits, running ones first, and refund their charges.

    Each is a transaction of its own, which locks the split and then the account, in the same order
    as everywhere else.

    Args:
        most: Cancel at most this many and leave the rest to ``finish``, so that a request does not
            take long.
    """
    waiting = (Split.account_id == account_id, Split.status.not_in(TERMINAL))
    running = select(Split.id).where(*waiting, Split.worker_id.is_not(None))
    with database.read() as session:
        found = [*session.scalars(running), *session.scalars(select(Split.id).where(*waiting))]
    for split_id in dict.fromkeys(found[:most]):
        with database.write() as session:
            _cancel(session, split_id)


def _cancel(session: Session, split_id: str) -> None:
    split = queries.locked(session, split_id)
    if split is None or split.status in TERMINAL or standing.is_active(session, split.account_id):
        return  # the split has ended, or the account was resumed in the meantime
    service.fail(session, split, "CANCELED", service.SUSPENDED)


def erase(database: Database, account_id: str) -> None:
    """Erase a deleted account's data and, once its audio is deleted, finish its deletion.

    Splits and uploads are marked as deleted here, and sweeps delete their audio. Records of use and
    payment stay: splits, uploads, the ledger, purchases and the audit log keep their ids, times,
    durations and amounts. All other rows and all texts that users chose are deleted.
    """
    _delete_splits(database, account_id)
    with database.write() as session:
        session.execute(
            update(Upload)
            .where(Upload.account_id == account_id, Upload.deleted_at.is_(None))
            .values(expires_at=times.now(), idempotency_key=None)
        )
    for table, condition in _erased_rows(account_id):
        _delete(database, table, condition)
    _blank(database, Split, account_id, BLANK_SPLIT)
    _blank(database, Upload, account_id, BLANK_UPLOAD)
    with database.read() as session:
        if _has_audio(session, account_id):
            return  # until the next sweep
    with database.write() as session:
        session.execute(update(Entry).where(Entry.account_id == account_id).values(reason=""))
        audit_queries.anonymise(session, account_id)
        account = session.get_one(Account, account_id)
        account.name, account.state = "", DELETED
        audit.record(session, account_id, audit.SERVICE, Action.ACCOUNT_DELETED)
    logger.info("account %s is deleted", account_id)


def _delete_splits(database: Database, account_id: str) -> None:
    query = select(Split.id).where(Split.account_id == account_id, Split.deleted_at.is_(None))
    while True:
        with database.read() as session:
            found = session.scalars(query.limit(BATCH)).all()
        for split_id in found:
            with database.write() as session:
                split = queries.locked(session, split_id)
                if split is not None and split.deleted_at is None:
                    deletion.delete(session, split)
        if len(found) < BATCH:
            return


def _has_audio(session: Session, account_id: str) -> bool:
    split = exists().where(Split.account_id == account_id, Split.swept_at.is_(None))
    upload = exists().where(Upload.account_id == account_id, Upload.swept_at.is_(None))
    return bool(session.scalar(select(split | upload)))


def _erased_rows(account_id: str) -> list[tuple[type[Base], ColumnElement[bool]]]:
    """Return the tables that lose all the account's rows, referring tables first."""
    deliveries = select(Delivery.id).where(Delivery.account_id == account_id)
    splits = select(Split.id).where(Split.account_id == account_id)
    people = select(Person.id).where(Person.account_id == account_id)
    return [
        (Attempt, Attempt.delivery_id.in_(deliveries)),
        (Delivery, Delivery.account_id == account_id),
        (Event, Event.account_id == account_id),
        (Endpoint, Endpoint.account_id == account_id),
        (Receiver, Receiver.account_id == account_id),
        (IdempotencyKey, IdempotencyKey.account_id == account_id),
        (Listening, Listening.split_id.in_(splits)),
        (Share, Share.account_id == account_id),
        (PlayerState, PlayerState.person_id.in_(people)),
        (Link, Link.account_id == account_id),
        (SignIn, SignIn.person_id.in_(people)),
        (Person, Person.account_id == account_id),
        (ApiKey, ApiKey.account_id == account_id),
        (AccountLimit, AccountLimit.account_id == account_id),
    ]


def _delete(database: Database, table: type[Base], condition: ColumnElement[bool]) -> None:
    """Delete rows in batches, so that others can write in between."""
    key = tuple_(*table.__table__.primary_key)
    while True:
        with database.write() as session:
            found = session.execute(select(*key.clauses).where(condition).limit(BATCH)).all()
            session.execute(delete(table).where(key.in_([tuple(row) for row in found])))
        if len(found) < BATCH:
            return


def _blank(
    database: Database,
    table: type[Split | Upload],
    account_id: str,
    values: dict[Any, Any],
) -> None:
    """Erase texts from an account's rows in batches."""
    last = ""
    while True:
        query = select(table.id).where(table.account_id == account_id, table.id > last)
        with database.write() as session:
            found = session.scalars(query.order_by(table.id).limit(BATCH)).all()
            session.execute(update(table).where(table.id.in_(found)).values(values))
        if len(found) < BATCH:
            return
        last = found[-1]
