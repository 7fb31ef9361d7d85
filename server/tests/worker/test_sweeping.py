"""An item that cannot be deleted does not stop others or later sweeps, and is reported."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.retention import failures, runs
from aistemsplitter_server.retention.tables import Sweep, SweepFailure
from aistemsplitter_server.splits import deletion
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.local import LocalStorage
from aistemsplitter_server.uploads import queries as uploads
from aistemsplitter_server.worker import sweeping
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.sweep import BATCH, FIRST, Run, rows
from customers import Customer
from databases import only_postgres
from scraping import scraped
from serving import serving
from sweeps import sweep

LATER = timedelta(hours=73)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Prefixes that cannot be deleted, simulated because ``chattr +i`` needs root."""
    prefixes: set[str] = set()
    delete = LocalStorage.delete_prefix

    def refusing(self: LocalStorage, prefix: str) -> None:
        if prefix in prefixes:
            raise PermissionError(1, "Operation not permitted", f"/storage/{prefix}/1/vocals.wav")
        delete(self, prefix)

    monkeypatch.setattr(LocalStorage, "delete_prefix", refusing)
    return prefixes


def swept(someone: Customer, split: Split) -> bool:
    with someone.database.read() as session:
        return session.get_one(Split, split.id).swept_at is not None


def noted(someone: Customer) -> list[SweepFailure]:
    with someone.database.read() as session:
        return [*failures.newest(session, 10)]


def ran(someone: Customer, name: str) -> Sweep:
    with someone.database.read() as session:
        return next(each for each in runs.all_of(session) if each.name == name)


def test_one_file_that_cannot_be_deleted(
    context: WorkerContext, someone: Customer, stuck: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (someone.finished(context.storage) for _ in range(2))
    stuck.add(keys.split(first.id))
    with caplog.at_level(logging.ERROR):
        sweep(context, after=LATER)
    assert (swept(someone, first), swept(someone, second)) == (False, True)
    assert f"{first.id}/1/vocals.wav" in caplog.text
    (failure,) = noted(someone)
    assert (failure.sweep, failure.item, failure.tries) == ("stems", first.id, 1)
    assert f"/storage/splits/{first.id}/1/vocals.wav" in failure.error
    assert ran(someone, "stems").failures == 1

    sweep(context, after=LATER + timedelta(seconds=30))  # not retried before it is due
    assert noted(someone)[0].tries == 1
    sweep(context, after=LATER + timedelta(minutes=2))
    assert noted(someone)[0].tries == 2
    stuck.clear()
    sweep(context, after=LATER + timedelta(hours=7))
    assert swept(someone, first)
    assert noted(someone) == []
    assert ran(someone, "stems").deleted == 2


def test_a_folder_is_deleted_except_undeletable_files(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    for name in ("bass", "drums", "vocals"):
        path = context.settings.data / name
        path.write_text(name)
        context.storage.put_file(keys.stem("split_1", 1, name, "wav"), path)
    unlink = os.unlink

    def refusing(path: str, *, dir_fd: int | None = None) -> None:
        if path == "drums.wav":
            raise PermissionError(1, "Operation not permitted", path)
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refusing)
    left = context.settings.data / "storage" / "splits" / "split_1" / "1" / "drums.wav"
    with pytest.raises(OSError, match="not permitted") as raised:
        context.storage.delete_prefix("splits/split_1")
    assert raised.value.filename == str(left)
    assert [path.name for path in left.parent.iterdir() if path.suffix == ".wav"] == ["drums.wav"]


def test_an_unavailable_storage_ends_the_sweep(
    context: WorkerContext, someone: Customer, stuck: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aistemsplitter_server.worker.sweep.MANY", 2)
    monkeypatch.setattr("aistemsplitter_server.worker.sweep.BATCH", 1)
    for _ in range(3):
        stuck.add(keys.split(someone.finished(context.storage).id))
    sweep(context, "stems", after=LATER)
    assert len(noted(someone)) == 2
    sweep(context, "stems", after=LATER)  # the first two wait, so the third has its turn
    assert len(noted(someone)) == 3


def test_a_sweep_that_fails_stops_no_other(
    context: WorkerContext, someone: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = someone.finished(context.storage)

    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error", "/somewhere")

    monkeypatch.setattr("aistemsplitter_server.uploads.service.expire", broken)
    monkeypatch.setattr("aistemsplitter_server.worker.listening.left_behind", broken)
    monkeypatch.setattr("aistemsplitter_server.accounts.webhook_secrets.erase_old", broken)
    sweep(context, after=LATER)
    assert swept(someone, split)
    found = ran(someone, "listening_work")
    assert (found.failures, found.error) == (
        1,
        "OSError: [Errno 5] Input/output error: '/somewhere'",
    )


def test_delete_succeeds_although_a_file_remains(
    app: FastAPI, context: WorkerContext, someone: Customer, stuck: set[str]
) -> None:
    split = someone.finished(context.storage)
    stuck.add(keys.split(split.id))
    path = f"/v1/audio/splits/{split.id}"
    with serving(app) as client:
        client.headers.update(someone.headers)
        answer = client.delete(path)
        assert answer.status_code == 200
        assert answer.json()["data"] == {"id": split.id, "deleted": True, "audioDeleted": False}
        assert client.get(path).status_code == 404
    sweep(context, "stems")
    assert [failure.item for failure in noted(someone)] == [split.id]
    stuck.clear()
    sweep(context, "stems", after=timedelta(minutes=2))
    assert swept(someone, split)


def files(context: WorkerContext) -> list[str]:
    root = context.settings.data
    found = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".db")
    return sorted(path.name for path in found if path.parent != root)


def store(context: WorkerContext, key: str) -> None:
    path = context.settings.data / "new"
    path.write_text("audio")
    context.storage.put_file(key, path)


def test_files_without_rows(context: WorkerContext, someone: Customer) -> None:
    made = someone.finished(context.storage)
    kept = {path for path in files(context) if "sha256" not in path}
    now = times.now()
    old, new = ids.first("split", now - timedelta(days=5)), ids.new("split")
    store(context, keys.stem(old, 1, "bass", "wav"))
    store(context, keys.fetched(old))
    store(context, keys.upload(ids.first("upl", now - timedelta(days=5))))
    store(context, keys.fetched(new))  # possibly of another database, and not expired
    (context.settings.data / "storage" / "uploads" / ".upl_1.sha256").write_text("gone")
    sweep(context, "orphans")
    assert {path for path in files(context) if not path.startswith(".")} == {*kept, new}
    # Files that were written after their split's sweep are deleted by the next one.
    with someone.database.write() as session:
        deletion.delete(session, session.get_one(Split, made.id))
    sweep(context, "stems", after=timedelta(seconds=1))
    store(context, keys.pieces(made.id, 1, "bass"))
    sweep(context, "orphans")
    assert [*context.storage.names("splits")] == []


def test_drafts_of_interrupted_writes(context: WorkerContext) -> None:
    folder = context.settings.data / "storage" / "uploads"
    folder.mkdir(parents=True)
    (folder / ".0123.draft").write_text("half")
    sweep(context, "orphans")
    assert [*folder.iterdir()]
    sweep(context, "orphans", after=timedelta(days=2))
    assert not [*folder.iterdir()]


def test_files_of_killed_processes(context: WorkerContext, someone: Customer) -> None:
    data = context.settings.data
    live, ended = someone.split(), someone.finished(context.storage)
    for path in (
        data / "work" / live.id,
        data / "work" / ended.id,
        data / "work" / f"{ended.id}.2",
        data / "listening" / "wrk_dead",
    ):
        path.mkdir(parents=True)
        (path / "file").write_text("x")
    (data / "work" / f"{ended.id}.lock").touch()
    (data / "work" / ".mounted").touch()
    upload = someone.upload(stored_at=None)
    (data / "partial").mkdir()
    (data / "partial" / upload.id).touch()
    assert ended.upload_id is not None
    (data / "partial" / ended.upload_id).touch()
    sweep(context, after=timedelta(seconds=1))
    assert _names(data / "work") == [".mounted", live.id]
    assert _names(data / "listening") == []
    assert _names(data / "partial") == [upload.id]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_thread_stops_with_its_worker(context: WorkerContext) -> None:
    sweeper = sweeping.Sweeper(context)
    sweeper.start()
    context.stopping.set()
    sweeper.join()


@pytest.mark.parametrize("leads", [False, True])
def test_a_worker_that_does_not_lead_only_sweeps_its_disk(
    context: WorkerContext, someone: Customer, leads: bool
) -> None:
    sweeper = sweeping.Sweeper(context)
    sweeper.leads = leads
    sweeper.run_due()
    with someone.database.read() as session:
        names = {each.name for each in runs.all_of(session)}
    assert {"work", "partial", "listening_work", "heartbeats"} <= names
    assert ("stems" in names) is leads


def test_metrics(app: FastAPI, context: WorkerContext, someone: Customer, stuck: set[str]) -> None:
    made = someone.finished(context.storage)
    stuck.add(keys.split(made.id))
    with context.database.write() as session:
        session.get_one(Split, made.id).expires_at = times.now() - timedelta(hours=1)
    sweep(context, "stems", "links")
    with serving(app) as client:
        found = scraped(client)
    for line in (
        'expired_rows{sweep="stems"} 1.0',
        'expired_rows{sweep="links"} 0.0',
        'sweep_failures_total{sweep="stems"} 1.0',
        'sweep_failures_total{sweep="links"} 0.0',
        'sweep_stuck_items{sweep="stems"} 1.0',
        'sweep_deleted_total{sweep="stems"} 0.0',
        'sweep_last_run_timestamp_seconds{sweep="links"} ',
    ):
        assert f"aistemsplitter_{line}" in found


def test_a_crash_between_deleting_and_noting(
    context: WorkerContext, someone: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = someone.finished(context.storage)

    def dies(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("the database is unavailable"))

    with monkeypatch.context() as patched:
        patched.setattr("aistemsplitter_server.splits.deletion_queries.set_swept", dies)
        sweep(context, "stems", after=LATER)
    assert [*context.storage.names("splits")] == []
    assert not swept(someone, made)
    assert ran(someone, "stems").error == "OperationalError"
    sweep(context, "stems", after=LATER)
    assert swept(someone, made)
    assert ran(someone, "stems").error is None


@only_postgres
def test_an_upload_that_a_split_begins_to_use_is_not_deleted(
    context: WorkerContext, someone: Customer
) -> None:
    upload = someone.upload(expires_at=times.now() - timedelta(seconds=1))
    caller = someone.caller
    with context.database.write() as session:  # a request that has found its upload
        found = uploads.of_account(session, caller.account_id, upload.id, is_test=False)
        assert found is not None
        sweep(context, "expired_uploads", "uploads")
        session.expire_all()
        assert found.deleted_at is None
    sweep(context, "expired_uploads")
    with context.database.write() as session:
        assert uploads.of_account(session, caller.account_id, upload.id, is_test=False) is None


@pytest.mark.parametrize(
    ("milliseconds", "most"), [(5.0, 4), (50.0, 1), (0.01, BATCH)], ids=["slow", "stuck", "fast"]
)
def test_transactions_stay_short(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch, milliseconds: float, most: int
) -> None:
    now, limits = 0.0, []

    def delete(_session: Session, _now: datetime, limit: int) -> int:
        nonlocal now
        now += milliseconds / 1000 * limit
        limits.append(limit)
        return limit if len(limits) < 20 else 0

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    run = Run(context, "events")
    rows(delete)(run)
    assert limits[0] == FIRST
    assert limits[-1] == most
    assert run.deleted == sum(limits[:-1])
