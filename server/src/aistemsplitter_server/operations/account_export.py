"""An account's data as a zip file: all that is stored about it and its people, without secrets."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    RowMapping,
    Select,
    SQLColumnExpression,
    inspect,
    select,
    tuple_,
)

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.tables import (
    Account,
    AccountLimit,
    ApiKey,
    Link,
    Person,
    SignIn,
)
from aistemsplitter_server.audit import export as audit
from aistemsplitter_server.credits import export as ledger
from aistemsplitter_server.kit import filenames, times
from aistemsplitter_server.kit.database import Base, Database
from aistemsplitter_server.payments.tables import Purchase
from aistemsplitter_server.splits import rendering
from aistemsplitter_server.splits.tables import PlayerState, Share, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing, Storage
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Endpoint, Event, Receiver

PAGE_SIZE = 1000  # rows read at once
PIECE = 1 << 18  # bytes of audio read at once
# Besides all binary columns, which hold digests and encrypted secrets.
SECRETS = {"password_hash", "digest_secret", "partial_token"}

Report = Callable[[str], object]  # is called with the name of each file before it is written


@dataclass(frozen=True, slots=True)
class Part:
    """A table of which an account's rows are exported, one JSON object a line.

    Attributes:
        whose: Returns the condition for the account's rows.
    """

    name: str
    table: type[Base]
    whose: Callable[[str], ColumnElement[bool]]


def _own(name: str, table: Any) -> Part:
    return Part(name, table, lambda account_id: table.account_id == account_id)


def _of_people(name: str, table: Any) -> Part:
    return Part(name, table, lambda account: table.person_id.in_(_ids(Person, account)))


def _ids(table: Any, account_id: str) -> Select[Any]:
    return select(table.id).where(table.account_id == account_id)


PARTS = (
    Part("account", Account, lambda account_id: Account.id == account_id),
    _own("limits", AccountLimit),
    _own("people", Person),
    _of_people("sign_ins", SignIn),
    _own("links", Link),
    _own("keys", ApiKey),
    _own("uploads", Upload),
    _own("splits", Split),
    _of_people("player_states", PlayerState),
    _own("shares", Share),
    _own("webhook_endpoints", Endpoint),
    _own("webhook_receivers", Receiver),
    _own("events", Event),
    _own("deliveries", Delivery),
    Part(
        "delivery_attempts",
        Attempt,
        lambda account_id: Attempt.delivery_id.in_(_ids(Delivery, account_id)),
    ),
    _own("purchases", Purchase),
)


def write(
    database: Database,
    storage: Storage,
    account_id: str,
    path: Path,
    *,
    audio: bool,
    report: Report,
) -> None:
    """Write the zip file, in memory that does not grow with it.

    Args:
        path: The file, which must not exist.
        audio: Whether to include the uploads and stems that are stored.

    Raises:
        NotFound: The account does not exist, or is deleted.
        FileExistsError: The file exists.
        OSError: It cannot be written, or the storage cannot be read. No file is left.
    """
    with database.read() as session:
        standing.require_not_deleted(session, account_id)
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    try:
        with ZipFile(unfinished, "w") as archive:
            for name, pieces in _texts(database, account_id):
                report(name)
                _add(archive, name, (piece.encode() for piece in pieces), compress=True)
            if audio:
                for name, key in _audio(database, account_id):
                    report(name)
                    _add_object(archive, name, storage, key)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _texts(database: Database, account_id: str) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield the names of the files without audio, and their contents in pieces."""
    for part in PARTS:
        yield f"{part.name}.jsonl", _lines(database, part, account_id)
    yield "ledger.csv", ledger.pieces(database, account_id)
    yield "audit.jsonl", audit.pieces(database, account_id, action=None, form="jsonl")


def _lines(database: Database, part: Part, account_id: str) -> Iterator[str]:
    table = inspect(part.table).local_table
    columns = [
        column
        for column in table.columns
        if not isinstance(column.type, LargeBinary) and column.name not in SECRETS
    ]
    query = select(*columns).where(part.whose(account_id))
    for row in _paged(database, query, *table.primary_key):
        yield json.dumps(dict(row), default=_to_json, ensure_ascii=False) + "\n"


def _paged(
    database: Database, query: Select[*tuple[Any, ...]], *key: SQLColumnExpression[Any]
) -> Iterator[RowMapping]:
    """Yield all rows in the order of a unique key, which the query selects too.

    No transaction is held between two pages.
    """
    last: tuple[Any, ...] | None = None
    while True:
        page = query if last is None else query.where(tuple_(*key) > last)
        with database.read() as session:
            rows = session.execute(page.order_by(*key).limit(PAGE_SIZE)).mappings().all()
        yield from rows
        if len(rows) < PAGE_SIZE:
            return
        last = tuple(rows[-1][column] for column in key)


def _to_json(value: Any) -> str:
    if isinstance(value, datetime):
        return times.to_wire(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _audio(database: Database, account_id: str) -> Iterator[tuple[str, str]]:
    """Yield names and keys of the stored uploads and stems, some of which may be deleted by now."""
    uploads = select(Upload, Upload.id).where(Upload.account_id == account_id)
    for row in _paged(database, uploads, Upload.id):
        upload: Upload = row["Upload"]
        if upload.stored_at is not None and upload.swept_at is None:
            yield f"uploads/{upload.id}/{filenames.safe(upload.filename)}", keys.upload(upload.id)
    splits = select(Split, Split.id).where(Split.account_id == account_id)
    for row in _paged(database, splits, Split.id):
        split: Split = row["Split"]
        if split.stored_attempt is None or split.swept_at is not None:
            continue
        for stem in split.stems:
            name = filenames.safe(rendering.filename(split, stem))
            key = keys.stem(split.id, split.stored_attempt, stem, split.extension)
            yield f"stems/{split.id}/{name}", key


def _add_object(archive: ZipFile, name: str, storage: Storage, key: str) -> None:
    try:
        with storage.open(key) as file:
            _add(archive, name, iter(lambda: file.read(PIECE), b""), compress=False)
    except Missing:
        pass  # deleted since its row was read


def _add(archive: ZipFile, name: str, pieces: Iterator[bytes], *, compress: bool) -> None:
    info = ZipInfo(name, times.now().timetuple()[:6])
    info.compress_type = ZIP_DEFLATED if compress else ZIP_STORED  # audio does not compress
    info.external_attr = 0o600 << 16
    with archive.open(info, "w", force_zip64=True) as member:
        for piece in pieces:
            member.write(piece)
