"""Fill a database with a year of a busy service; used by ``million_rows.py``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from rich.progress import track
from sqlalchemy import Table, insert, text
from ulid import ULID

from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Base, Database
from aistemsplitter_server.splits.tables import IdempotencyKey, Listening, Split
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.webhooks.tables import Delivery, Event

ROWS_AT_ONCE = 5000
YEAR = timedelta(days=365)
HOUR = timedelta(hours=1)
FAILED_SHARE = 0.04
WEBHOOK_SHARE = 0.2
GRANTED = 2_000_000_000  # seconds, to every account

Row = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """Size of the database.

    Attributes:
        splits: All splits.
        queued: How many of them wait, all from the last hour.
        accounts: Their ids. The first one owns a fifth of all splits and half of the queue.
    """

    splits: int
    queued: int
    accounts: list[str]


def fill(database: Database, shape: Shape) -> None:
    """Write splits, uploads, ledger entries, events, deliveries and queued jobs."""
    _add(database, Entry, _grants(shape))
    songs = _songs(shape)
    with_progress = track(
        iter(lambda: list(islice(songs, ROWS_AT_ONCE)), []),
        total=shape.splits / ROWS_AT_ONCE,
        description="filling",
    )
    numbers = dict.fromkeys(shape.accounts, 1)
    balances = dict.fromkeys(shape.accounts, GRANTED)
    for some in with_progress:
        _add(database, Upload, map(_upload, some))
        _add(database, Split, some)
        _add(
            database, Entry, (entry for song in some for entry in _entries(song, numbers, balances))
        )
        ended = [song for song in some if song["finished_at"]]
        _add(database, Event, map(_event, ended))
        _add(database, Delivery, (_delivery(song) for song in ended if song["webhook_url"]))
        recent = [song for song in ended if song["created_at"] > times.now() - timedelta(days=1)]
        _add(database, IdempotencyKey, map(_idempotency_key, recent))
        _add(database, Listening, (_listening(song) for song in ended[::10]))
        _add_jobs(database, [song for song in some if song["status"] == "queued"])
    with database.connection() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("ANALYZE"))
            return
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))  # as autovacuum does, soon after a bulk load
        connection.execute(text("CHECKPOINT"))


def _songs(shape: Shape) -> Iterator[Row]:
    """Yield the splits in the order of their ids."""
    rng = random.Random(1)
    now = times.now()
    ended = shape.splits - shape.queued
    begins = now - YEAR
    turns = dict.fromkeys(shape.accounts, 0)
    for number in range(shape.splits):
        queued = number >= ended
        if queued:
            at = now - HOUR + HOUR * ((number - ended) / max(shape.queued, 1))
        else:
            at = begins + (YEAR - HOUR) * (number / ended)
        giant = rng.random() < (0.5 if queued else 0.2)
        account_id = shape.accounts[0] if giant else rng.choice(shape.accounts)
        if queued:
            turns[account_id] += 1
        yield _song(rng, account_id, at, queued=queued, turn=turns[account_id] or 1)


def _song(rng: random.Random, account_id: str, at: datetime, *, queued: bool, turn: int) -> Row:
    failed = not queued and rng.random() < FAILED_SHARE
    status = "queued" if queued else "failed" if failed else "succeeded"
    finished = None if queued else at + timedelta(minutes=2)
    expires = finished and finished + timedelta(hours=72)
    swept = expires if expires and expires < times.now() else None
    seconds = rng.uniform(120, 360)
    return {
        "id": _id("split", at, rng),
        "account_id": account_id,
        "key_id": "key_none",
        "is_test": False,
        "status": status,
        "revision": 3,
        "stem_model": "htdemucs_tiny",
        "output_format": "wav",
        "stems": ["vocals", "drums", "bass", "other"],
        "upload_id": _id("upl", at, rng),
        "input_url": None,
        "webhook_url": None if queued or rng.random() > WEBHOOK_SHARE else "https://example.com/",
        "metadata": {"shop": "north", "order": str(at.microsecond)},
        "served_by": "htdemucs_tiny",
        "filename": f"{rng.choice(WORDS)} {rng.choice(WORDS)} {rng.randrange(10_000)}.flac",
        "duration_seconds": seconds,
        "sample_rate": 44100,
        "credits_used": 0 if failed else int(seconds) + 1,
        "warnings": [],
        "turn": turn,
        "attempt": 0 if queued else 1,
        "failures": 0,
        "progress": 1.0 if status == "succeeded" else 0.0,
        "stored_attempt": 1 if status == "succeeded" else None,
        "error_code": "INTERNAL" if failed else None,
        "error_message": "It broke." if failed else None,
        "created_at": at,
        "updated_at": finished or at,
        "started_at": None if queued else at + timedelta(minutes=1),
        "finished_at": finished,
        "expires_at": expires,
        "swept_at": swept,
        "event_id": _id("evt", finished or at, rng),  # of its event; no column
    }


WORDS = [
    "amber", "blue", "cedar", "dawn", "ember", "field", "glass", "harbour", "iron", "june",
    "kite", "lantern", "meadow", "north", "ocean", "paper", "quiet", "river", "stone", "thunder",
]  # fmt: skip


def _grants(shape: Shape) -> Iterator[Row]:
    for account_id in shape.accounts:
        at = times.now() - YEAR - HOUR
        yield _entry(account_id, at, 1, "grant", GRANTED, GRANTED, None)


def _entries(song: Row, numbers: dict[str, int], balances: dict[str, int]) -> Iterator[Row]:
    account_id, seconds = song["account_id"], int(song["duration_seconds"]) + 1
    moves = [("charge", -seconds, song["created_at"])]
    if song["status"] == "failed":
        moves.append(("refund", seconds, song["finished_at"]))
    for kind, amount, at in moves:
        numbers[account_id] += 1
        balances[account_id] += amount
        yield _entry(
            account_id, at, numbers[account_id], kind, amount, balances[account_id], song["id"]
        )


def _entry(
    account_id: str,
    at: datetime,
    number: int,
    kind: str,
    seconds: int,
    balance: int,
    split_id: str | None,
) -> Row:
    return {
        "id": _id("ent", at),
        "account_id": account_id,
        "number": number,
        "kind": kind,
        "seconds": seconds,
        "balance": balance,
        "split_id": split_id,
        "reason": kind,
        "created_at": at,
    }


def _upload(song: Row) -> Row:
    expires = song["created_at"] + timedelta(hours=72)
    deleted = expires if expires < times.now() else None
    return {
        "id": song["upload_id"],
        "account_id": song["account_id"],
        "key_id": song["key_id"],
        "idempotency_key": None,
        "filename": song["filename"],
        "content_type": "audio/flac",
        "content_length": 30_000_000,
        "created_at": song["created_at"],
        "expires_at": expires,
        "stored_at": song["created_at"],
        "measured_at": song["created_at"],
        "duration_seconds": song["duration_seconds"],
        "sample_rate": 44100,
        "deleted_at": deleted,
        "swept_at": deleted,
    }


def _event(song: Row) -> Row:
    return {
        "id": song["event_id"],
        "account_id": song["account_id"],
        "key_id": song["key_id"],
        "split_id": song["id"],
        "type": f"split.{song['status']}",
        "test": False,
        "created_at": song["finished_at"],
    }


def _delivery(song: Row) -> Row:
    at = song["finished_at"]
    return {
        "id": _id("dlv", at),
        "account_id": song["account_id"],
        "event_id": song["event_id"],
        "url": song["webhook_url"],
        "state": "delivered",
        "attempts": 1,
        "created_at": at,
        "next_attempt_at": None,
        "finished_at": at,
    }


def _idempotency_key(song: Row) -> Row:
    return {
        "account_id": song["account_id"],
        "key": song["id"],
        "fingerprint": "0" * 64,
        "answer": {"id": song["id"]},
        "created_at": song["created_at"],
    }


def _listening(song: Row) -> Row:
    return {
        "split_id": song["id"],
        "attempt": 1,
        "state": "ready",
        "requested_at": song["finished_at"],
        "ready_at": song["finished_at"],
    }


def _id(prefix: str, at: datetime, rng: random.Random | None = None) -> str:
    tail = (rng or random).randbytes(10)
    return f"{prefix}_{ULID(int(at.timestamp() * 1000).to_bytes(6) + tail)}"


def _add(database: Database, table: type[Base], rows: Iterator[Row] | list[Row]) -> None:
    found: Table = table.metadata.tables[table.__tablename__]
    names = _filled(found)
    made = [{name: row.get(name) for name in names} for row in rows]
    if made:
        with database.connection() as connection:
            connection.execute(insert(found), made)


def _filled(table: Table) -> list[str]:
    """Return the columns for which the rows have a value; the others take their default."""
    return [
        column.name
        for column in table.columns
        if column.nullable or (column.default is None and column.server_default is None)
    ]


def _add_jobs(database: Database, songs: list[Row]) -> None:
    """Queue the separations of these splits as the service does."""
    from dbos._schemas.system_database import SystemSchema

    if not songs:
        return
    schema = None if database.sqlite else "dbos"
    table = SystemSchema.workflow_status
    with database.connection() as connection:
        mapped = connection.execution_options(schema_translate_map={table.schema: schema})
        mapped.execute(insert(table), [_job(song) for song in songs])


def _job(song: Row) -> Row:
    at = int(song["created_at"].timestamp() * 1000)
    return {
        "workflow_uuid": f"{song['id']}-separate-0",
        "status": "ENQUEUED",
        "name": "separate",
        "created_at": at,
        "updated_at": at,
        "application_version": "1",
        "queue_name": "splits",
        "priority": song["turn"],
        "inputs": f'{{"args":["{song["id"]}"],"kwargs":{{}}}}',
        "recovery_attempts": 0,
    }
