"""Broken installations: doctor, ``/readyz``, the metrics and the operator's page agree."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import pytest
from sqlalchemy import text, update

from aistemsplitter_server.cli import checks
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import secrets, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.local import STORED
from aistemsplitter_server.workers.tables import DEAD_AFTER, Worker, WorkerFault
from beating import beat
from customers import customer
from databases import only_sqlite
from scraping import scraped
from visitors import Visitor, person

Break = Callable[[Settings, Database], None]


def _worker(**values: object) -> Break:
    def change(_settings: Settings, database: Database) -> None:
        with database.write() as session:
            session.execute(update(Worker).values(values))

    return change


def _missing_model(settings: Settings, database: Database) -> None:
    customer(database, secrets.load(settings.data)).split()
    _worker(models=[])(settings, database)


def _no_worker(_settings: Settings, database: Database) -> None:
    with database.write() as session:
        session.execute(text("DELETE FROM workers"))


def _failing_worker(settings: Settings, database: Database) -> None:
    _no_worker(settings, database)
    with database.write() as session:
        reason = "the engine's process cannot start"
        session.add(WorkerFault(host="here", happened_at=times.now(), reason=reason))


def _silent_worker(_settings: Settings, database: Database) -> None:
    with database.write() as session:
        session.execute(update(Worker).values(seen_at=times.now() - 2 * DEAD_AFTER))


def _other_storage(settings: Settings, _database: Database) -> None:
    shutil.rmtree(settings.data / STORED)


def _no_storage(settings: Settings, _database: Database) -> None:
    _other_storage(settings, _database)
    (settings.data / STORED).write_text("a file where a folder should be")


def _no_secret(settings: Settings, _database: Database) -> None:
    (settings.data / secrets.FILE_NAME).unlink()


def _other_secret(settings: Settings, _database: Database) -> None:
    (settings.data / secrets.FILE_NAME).write_bytes(bytes(32))


def _old_schema(_settings: Settings, database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def _new_schema(_settings: Settings, database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        session.execute(text("UPDATE schema_compatibility SET works_from = '9999'"))


def _open_folder(settings: Settings, _database: Database) -> None:
    settings.data.chmod(0o755)


@dataclass(frozen=True)
class Case:
    """A broken installation, and what each place says about it.

    Attributes:
        doctor: The check that finds it, its state, and a part of its message or advice.
        unready: A part of the message of ``/readyz``; None if the service works all the same.
        metric: A line of the metrics.
        page: A part of the operator's page.
    """

    broken: Break
    doctor: tuple[str, str, str]
    unready: str | None = None
    metric: str = "aistemsplitter_workers 1.0"
    page: str = ">alive<"


def _lacks(kind: str, page: str) -> Case:
    return Case(
        _worker(shortage=kind, shortage_reason="why it is so"),
        ("workers", "problem", f"lack of {kind}"),
        f"lacks {kind}: why it is so",
        f'aistemsplitter_workers_paused{{lack="{kind}"}} 1.0',
        page,
    )


CASES = {
    "no worker": Case(
        _no_worker,
        ("workers", "warning", "none is running"),
        "No worker is running",
        "aistemsplitter_workers 0.0",
        "No workers running",
    ),
    "a worker that cannot start": Case(
        _failing_worker,
        ("workers", "warning", "none is running"),
        "cannot start",
        "aistemsplitter_workers 0.0",
        "No workers running",
    ),
    "a worker without a heartbeat": Case(
        _silent_worker,
        ("workers", "warning", "none is running"),
        "No worker is running",
        "aistemsplitter_workers 0.0",
        ">dead<",
    ),
    "no disk": _lacks("disk", "paused: no disk space"),
    "no memory": _lacks("memory", "paused: no memory"),
    "no weights": _lacks("weights", "paused: weights missing"),
    "a missing model": Case(
        _missing_model,
        ("workers", "problem", "1 splits wait for htdemucs_tiny"),
        metric='aistemsplitter_splits_without_worker{model="htdemucs_tiny"} 1.0',
        page="1 song waits for htdemucs_tiny, which no worker has.",
    ),
    "a fast clock": Case(
        _worker(clock_skew=90.0),
        ("workers", "problem", "by 90 s"),
        metric='aistemsplitter_worker_clock_skew_seconds{worker="wrk_1"} 90.0',
        page="clock off by 90 s",
    ),
    "another storage": Case(
        _other_storage,
        ("storage", "problem", "db accept storage"),
        "not the one of this database",
    ),
    "a storage that cannot be used": Case(_no_storage, ("storage", "problem", ""), "storage"),
    "no secret": Case(_no_secret, ("secret", "problem", "is missing")),
    "another secret": Case(_other_secret, ("secret", "problem", "no API key would work")),
    "an old schema": Case(
        _old_schema, ("database", "problem", "db upgrade"), "The database is not up to date"
    ),
    "a schema of a newer version": Case(
        _new_schema, ("database", "problem", "newer version"), "The database is not up to date"
    ),
    "a folder that others can read": Case(_open_folder, ("data", "warning", "chmod 700")),
}


@only_sqlite
@pytest.mark.parametrize("name", CASES)
def test_a_broken_installation(
    name: str,
    client: httpx2.Client,
    settings: Settings,
    database: Database,
    server_secrets: Secrets,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES[name]
    quick = tuple(each for each in checks.CHECKS if each[0] != "engine")
    monkeypatch.setattr(checks, "CHECKS", quick)
    settings.data.chmod(0o700)
    owner = Visitor(client)
    owner.sign_in(person(database, server_secrets, "owner@example.org", owner=True).email)
    installation.start(settings, database)
    beat(database, "wrk_1")
    assert client.get("/readyz").status_code == 200
    case.broken(settings, database)

    check, state, part = case.doctor
    findings = [each for each in checks.examine(settings) if each.check == check]
    assert any(
        (each.state, part in f"{each.message} {each.todo}") == (state, True) for each in findings
    ), findings
    answer = client.get("/readyz")
    if case.unready is None:
        assert answer.status_code == 200, answer.text
    else:
        assert answer.status_code == 503
        assert case.unready in answer.json()["error"]["message"]
    assert case.metric in scraped(client)
    assert case.page in owner.get("/operator").text
