from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

import databases
from aistemsplitter_server.cli import checks
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import secrets, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.storage.local import STORED
from beating import beat
from command_line import run, run_process
from customers import customer
from databases import only_sqlite


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the engine's check, which takes seconds."""
    quick = tuple(each for each in checks.CHECKS if each[0] != "engine")
    monkeypatch.setattr(checks, "CHECKS", quick)


def states(settings: Settings) -> dict[str, checks.Finding]:
    """Return the findings by check, without those of this machine."""
    machine = ("disk of data", "open files")
    found = {finding.check: finding for finding in checks.examine(settings)}
    return {check: finding for check, finding in found.items() if check not in machine}


@pytest.fixture
def sound(settings: Settings, database: Database) -> Settings:
    """A healthy service with a live worker."""
    settings.data.mkdir(exist_ok=True)
    settings.data.chmod(0o700)
    secrets.load(settings.data)
    beat(database)
    return settings


def test_a_healthy_service(sound: Settings) -> None:
    found = states(sound)
    assert {finding.state for finding in found.values()} == {"ok"}, found
    assert set(found) == {"settings", "data", "secret", "storage", "database", "workers", "clock"}


def test_no_running_worker(sound: Settings, database: Database) -> None:
    with database.write() as session:
        session.execute(text("DELETE FROM workers"))
    finding = states(sound)["workers"]
    assert finding.state == "warning"
    assert "aistemsplitter-server worker" in str(finding.todo)


def test_a_schema_of_another_version(sound: Settings, database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    finding = states(sound)["database"]
    assert (finding.state, finding.todo) == ("problem", "aistemsplitter-server db upgrade")


def test_files_that_others_can_read(sound: Settings) -> None:
    sound.data.chmod(0o755)
    (sound.data / secrets.FILE_NAME).chmod(0o644)
    found = states(sound)
    assert found["data"].todo == f"chmod 700 {sound.data}"
    assert found["secret"].state == "problem"
    assert str(found["secret"].todo).startswith("chmod 600")


def test_a_file_in_place_of_the_storage_folder(sound: Settings) -> None:
    (sound.data / STORED).write_text("a file where a folder should be")
    assert states(sound)["storage"].state == "problem"


@only_sqlite
def test_a_clock_that_was_set_back(
    sound: Settings, database: Database, server_secrets: Secrets
) -> None:
    customer(database, server_secrets)
    with database.write() as session:
        session.execute(update(Entry).values(created_at=times.now() + timedelta(hours=1)))
    assert states(sound)["clock"].state == "problem"


def test_an_unreachable_database(tmp_path: Path) -> None:
    url = "postgresql://user:hunter2@127.0.0.1:1/none"
    settings = Settings(data=tmp_path / "data", database_url=url)
    finding = states(settings)["database"]
    assert finding.state == "problem"
    assert "refused" in finding.message
    assert "hunter2" not in str(finding)


@only_sqlite
def test_a_missing_or_wrong_secret(
    sound: Settings, database: Database, server_secrets: Secrets
) -> None:
    customer(database, server_secrets)
    secret = sound.data / secrets.FILE_NAME
    secret.rename(sound.data / "lost")
    found = states(sound)
    assert found["secret"].state == "problem"
    assert "is missing" in found["secret"].message
    assert not secret.exists()
    secrets.load(sound.data)
    finding = states(sound)["secret"]
    assert finding.state == "problem"
    assert "no API key would work" in finding.message
    assert "db accept secret" in str(finding.todo)


def test_the_storage_of_another_database(sound: Settings, database: Database) -> None:
    installation.start(sound, database)
    assert states(sound)["storage"].state == "ok"
    (sound.data / STORED).rename(sound.data / "unmounted")
    finding = states(sound)["storage"]
    assert finding.state == "problem"
    assert "songs would be missing" in finding.message
    assert not (sound.data / STORED).exists()


@only_sqlite
def test_a_bucket(sound: Settings, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = Settings(data=sound.data, database_url=sound.database_url)
    finding = states(stored)["storage"]
    assert (finding.state, finding.message.rpartition(" ")[2]) == ("ok", stored.storage)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "no-List")
    finding = states(stored)["storage"]
    assert finding.state == "problem"
    assert finding.message == f"the credentials lack s3:ListBucket on bucket {bucket}"
    assert finding.todo == "allow it in their policy"


@only_sqlite
def test_no_start_with_a_bucket_that_cannot_be_used(
    sound: Settings, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", sound.database)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "no-Write")
    for command in ("api", "worker"):
        done = run(sound.data.parent, command)
        assert done.returncode == 1
        problem = f"the storage failed: the credentials lack s3:PutObject on bucket {bucket};"
        assert problem in done.stderr
        assert "Traceback" not in done.stderr


@only_sqlite
def test_every_check_runs_at_a_data_folder_that_cannot_be_read(
    sound: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise PermissionError(13, "Permission denied", str(sound.data))

    # root, who runs these tests in a container, is refused nothing
    monkeypatch.setattr(checks.secrets, "exists", refuse)
    found = states(sound)
    for check in ("secret", "storage"):
        assert found[check].state == "problem"
        assert found[check].message == f"{sound.data}: Permission denied"
        assert str(sound.data) in str(found[check].todo)
    assert found["database"].state == found["workers"].state == "ok"


def test_a_read_only_disk(mount_disk: Callable[[int], Path]) -> None:
    disk = mount_disk(20)
    settings = Settings(data=disk / "data")
    settings.data.mkdir(mode=0o700)
    databases.migrate_up(settings.database)
    database = Database(settings.database)
    installation.start(settings, database)
    database.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    found = states(settings)
    assert {"data", "database", "secret", "storage"} <= set(found)
    for check in ("database", "storage"):
        assert found[check].state == "problem"
        assert f"make {settings.data} writable" in str(found[check].todo)


@pytest.mark.parametrize(
    ("status", "stderr", "advice"),
    [
        (1, "RuntimeError: std::bad_alloc", "memory"),
        (1, "MemoryError", "memory"),
        (-9, "", "memory"),
        (1, "OSError: [Errno 28] No space left on device", "free up space"),
        (1, "ModuleNotFoundError: No module named 'openvino'", "install aistemsplitter-engine"),
    ],
)
def test_advice_for_an_engine_that_fails(status: int, stderr: str, advice: str) -> None:
    assert advice in str(checks._broken_engine(status, stderr).todo)


def test_doctor_creates_no_files(tmp_path: Path) -> None:
    done = run_process(tmp_path, "doctor", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    assert report["ok"] is False
    found = {check["check"]: check for check in report["checks"]}
    assert found["data"]["state"] == found["database"]["state"] == "problem"
    assert found["database"]["todo"] == "aistemsplitter-server db upgrade"
    assert found["engine"]["state"] == "ok"  # separates a second of silence
    assert not (tmp_path / "data").exists()


def test_an_engine_that_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aistemsplitter_engine.py").write_text("raise ImportError('no such processor')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (finding,) = checks.engine(Settings(data=tmp_path / "data"))
    assert finding.state == "problem"
    assert "no such processor" in finding.message


def _open_files() -> str:
    (finding,) = checks.open_files(Settings())
    return finding.state


def test_too_few_open_files() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))
        assert _open_files() == "warning"
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
        assert _open_files() == "problem"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert _open_files() == "ok"


def test_a_small_disk(tmp_path: Path) -> None:
    assert checks.space("disk", tmp_path / "not" / "there").state in ("ok", "warning")
    full = Path("/proc")  # a file system without free space
    assert checks.space("disk", full).state == "problem"
