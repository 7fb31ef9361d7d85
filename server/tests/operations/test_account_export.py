"""An account's exported data: complete, its own only, and without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from sqlalchemy import LargeBinary, inspect

from aistemsplitter_server.accounts import people
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.kit.database import Base
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.operations import account_export
from aistemsplitter_server.storage import keys
from aistemsplitter_server.worker.context import WorkerContext
from customers import Customer, customer
from databases import only_sqlite
from visitors import person

# Tables with rows of accounts that are not exported as such.
LEFT_OUT = {
    "audit_entries": "in audit.jsonl",
    "credit_entries": "in ledger.csv",
    "credit_totals": "sums of the ledger",
    "credit_reservations": "until a song is measured",
    "idempotency_keys": "responses that are in the other files, for a day",
    "listening": "copies of the stems",
}


def exported(context: WorkerContext, someone: Customer, path: Path, **options: Any) -> ZipFile:
    account_export.write(
        context.database,
        context.storage,
        someone.caller.account_id,
        path,
        **{"audio": False, "report": lambda _: None} | options,
    )
    return ZipFile(path)


def rows(archive: ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(f"{name}.jsonl").splitlines()]


def test_everything_of_the_account_and_nothing_of_others(
    context: WorkerContext,
    someone: Customer,
    server_secrets: Secrets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(account_export, "PAGE_SIZE", 2)
    account_id = someone.caller.account_id
    ada = person(someone.database, server_secrets, "ada@example.com", account_id=account_id)
    splits = [someone.finished(context.storage, filename=f"Söng {n}.flac") for n in range(5)]
    with someone.database.write() as session:
        people.link(session, server_secrets, account_id, note="Bob")
        audit.record(session, account_id, "cli:root", Action.ACCOUNT_RESUMED)
    other = customer(someone.database, server_secrets)
    other.finished(context.storage)

    archive = exported(context, someone, tmp_path / "out.zip")
    assert archive.testzip() is None
    assert [row["id"] for row in rows(archive, "account")] == [account_id]
    assert [row["email"] for row in rows(archive, "people")] == [ada.email]
    assert [row["id"] for row in rows(archive, "splits")] == [split.id for split in splits]
    assert [row["filename"] for row in rows(archive, "uploads")] == [
        f"Söng {n}.flac" for n in range(5)
    ]
    assert [row["note"] for row in rows(archive, "links")] == ["", "Bob"]
    assert [row["action"] for row in rows(archive, "audit")] == ["account.resumed"]
    assert archive.read("ledger.csv").count(b"charge") == 5
    whole = b"".join(archive.read(name) for name in archive.namelist())
    assert other.caller.account_id.encode() not in whole
    assert not [name for name in archive.namelist() if name.startswith(("stems/", "uploads/"))]
    assert oct((tmp_path / "out.zip").stat().st_mode)[-3:] == "600"


@only_sqlite
def test_no_secret_is_exported(context: WorkerContext, someone: Customer, tmp_path: Path) -> None:
    archive = exported(context, someone, tmp_path / "out.zip")
    (key,) = rows(archive, "keys")
    assert key["id"] == someone.caller.key_id
    for row in (key, *rows(archive, "people"), *rows(archive, "links")):
        assert not {name for name in row if "digest" in name or "secret" in name} - {
            "previous_digest_until",
            "previous_secret_until",
        }
        assert "password_hash" not in row


def test_every_table_of_an_account_is_exported() -> None:
    known = {part.table.__tablename__ for part in account_export.PARTS} | set(LEFT_OUT)
    for table in Base.metadata.tables.values():
        whose = {"account_id", "person_id"} & set(table.columns.keys())
        assert not whose or table.name in known, f"{table.name}: export it, or say why not"
    for part in account_export.PARTS:
        columns = inspect(part.table).local_table.columns
        assert all(not isinstance(column.type, LargeBinary) for column in columns.values()) or (
            part.name in ("sign_ins", "links", "keys", "shares", "webhook_endpoints")
        ), f"{part.name}: is its binary column a secret?"


def test_audio(context: WorkerContext, someone: Customer, tmp_path: Path) -> None:
    split, gone = (someone.finished(context.storage) for _ in range(2))
    context.storage.delete_prefix(keys.split(gone.id))
    assert split.upload_id is not None
    path = tmp_path / "song.flac"
    path.write_bytes(b"the song")
    context.storage.put_file(keys.upload(split.upload_id), path)
    archive = exported(context, someone, tmp_path / "out.zip", audio=True)
    assert archive.read(f"uploads/{split.upload_id}/song.flac") == b"the song"
    stems = {name for name in archive.namelist() if name.startswith("stems/")}
    assert stems == {f"stems/{split.id}/song - {stem}.wav" for stem in split.stems}
    assert archive.read(f"stems/{split.id}/song - vocals.wav").startswith(b"vocals")


@only_sqlite
def test_nothing_is_overwritten_or_left_half_written(
    context: WorkerContext, someone: Customer, tmp_path: Path
) -> None:
    path = tmp_path / "out.zip"

    def fail(name: str) -> None:
        if name == "splits.jsonl":
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        exported(context, someone, path, report=fail)
    assert [*tmp_path.glob("out.zip*")] == []
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        exported(context, someone, path)
    assert path.read_bytes() == b"mine"
    with pytest.raises(NotFound):
        account_export.write(
            context.database,
            context.storage,
            "acc_none",
            tmp_path / "x.zip",
            audio=False,
            report=print,
        )
