"""Stalled processes are killed by other processes on the same machine."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path

import psutil
import pytest

from aistemsplitter_server.kit import heartbeats
from aistemsplitter_server.kit.heartbeats import FOLDER, Watch
from holding import holder
from processes import until


def can_write(data: Path) -> bool:
    database = sqlite3.connect(data / "service.db", timeout=0, isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    finally:
        database.close()
    return True


def test_a_stopped_process_is_killed_with_its_children(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, child), heartbeats.beating(tmp_path, "api", 1.5):
        process.suspend()
        child.suspend()
        assert not can_write(tmp_path)
        assert process.wait(60) == -signal.SIGKILL
        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
        assert can_write(tmp_path)
        assert heartbeats.has_ended(tmp_path, "wrk_1")


def test_a_live_process_is_not_killed(tmp_path: Path) -> None:
    with holder(tmp_path, stalled_after=0.6) as (process, _):
        watch = Watch(tmp_path / FOLDER, patience=0)
        content = tmp_path / FOLDER / "wrk_1.lock"
        watch.check()
        for _ in range(3):
            before = content.read_bytes()
            until(lambda before=before: content.read_bytes() != before)
            watch.check()
        assert process.is_running()
        assert not heartbeats.has_ended(tmp_path, "wrk_1")
        process.stdin.close()
        process.wait(60)
    assert list((tmp_path / FOLDER).iterdir()) == []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the watching process."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of processes that would have been killed."""
    pids: list[int] = []
    monkeypatch.setattr(psutil.Process, "kill", lambda self: pids.append(self.pid))
    return pids


def look_for(seconds: float, watch: Watch, clock: list[float], step: float = 1) -> None:
    ends = clock[0] + seconds
    watch.check()
    while clock[0] < ends:
        clock[0] += step
        watch.check()


def test_unwatched_time_does_not_count(
    tmp_path: Path, clock: list[float], killed: list[int]
) -> None:
    """The machine slept, or the watching process was stopped as well."""
    with holder(tmp_path) as (process, child):
        watch = Watch(tmp_path / FOLDER, patience=30)
        look_for(29, watch, clock)
        clock[0] += 3600
        look_for(29, watch, clock)
        assert killed == []
        look_for(1, watch, clock)
        assert killed == [process.pid, child.pid]


@pytest.mark.parametrize("change", [{"machine": "elsewhere"}, {"pid": os.getpid()}])
def test_processes_of_other_machines_and_itself_are_not_killed(
    tmp_path: Path, clock: list[float], killed: list[int], change: dict[str, object]
) -> None:
    with holder(tmp_path):
        path = tmp_path / FOLDER / "wrk_1.lock"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        look_for(100, Watch(path.parent, patience=30), clock)
        assert killed == []
        assert heartbeats.is_local(tmp_path, "wrk_1") == ("machine" not in change)


def test_a_reused_process_id_is_not_killed(
    tmp_path: Path, clock: list[float], killed: list[int]
) -> None:
    """The process died long ago: its file is not locked."""
    with holder(tmp_path) as (process, _):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        path = tmp_path / FOLDER / "wrk_1.lock"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": os.getppid()}))
        look_for(100, Watch(path.parent, patience=30), clock)
        assert killed == []
        assert heartbeats.has_ended(tmp_path, "wrk_1")


def test_a_process_of_another_user_is_reported_once(
    tmp_path: Path,
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(self: psutil.Process) -> None:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "kill", refuse)
    with holder(tmp_path):
        look_for(100, Watch(tmp_path / FOLDER, patience=30), clock)
    assert sum("belongs to another user" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"machine": 1}', "\0"])
def test_files_that_cannot_be_read_are_skipped(tmp_path: Path, content: str) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "wrk_1.lock").write_text(content)
    Watch(tmp_path / FOLDER, patience=0).check()
    assert not heartbeats.is_local(tmp_path, "wrk_1")


def test_old_files_are_deleted(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    for name in ("old", "new"):
        (tmp_path / FOLDER / f"{name}.lock").touch()
    os.utime(tmp_path / FOLDER / "old.lock", (0, 0))
    for name in heartbeats.long_dead(tmp_path):
        heartbeats.remove(tmp_path, name)
    assert [path.stem for path in (tmp_path / FOLDER).iterdir()] == ["new"]
