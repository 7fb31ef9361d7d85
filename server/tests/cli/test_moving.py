"""``storage migrate``: a service that moves from disk to a bucket and back."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from filelock import FileLock

from aistemsplitter_server.app import create_app
from aistemsplitter_server.cli import checks, moving
from aistemsplitter_server.cli.moving import CannotMigrate
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.installation.service import WrongInstallation
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.storage.configured import at, configured
from aistemsplitter_server.storage.interface import Missing, Storage
from command_line import run
from databases import only_sqlite
from serving import serving
from storage.stored import put, read

pytestmark = [
    only_sqlite,
    pytest.mark.skipif(find_spec("boto3") is None, reason="needs boto3"),
]

# Ends itself with SIGKILL while it stores the fifth file in the bucket.
DIES = """
import os, signal
from itertools import count
from aistemsplitter_server.cli import main
from aistemsplitter_server.storage.s3 import S3Storage
numbers, put_file = count(1), S3Storage.put_file
def dying(self, key, path):
    if next(numbers) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    put_file(self, key, path)
S3Storage.put_file = dying
main()
"""


@dataclass
class Installation:
    """A service whose files are on disk, and a bucket."""

    settings: Settings
    database: Database
    secrets: Secrets
    address: str
    folder: Path

    def on(self, storage: str | None, fallback: str | None = None) -> Settings:
        """Return the settings of the service on other storages."""
        return self.settings.model_copy(update={"storage": storage, "storage_fallback": fallback})

    def at(self, address: str) -> Storage:
        return at(address, self.settings, self.secrets)

    def start(self, storage: str | None, fallback: str | None = None) -> None:
        installation.start(self.on(storage, fallback), self.database)

    def put(self, address: str, *names: str) -> None:
        for name in names:
            put(self.at(address), self.folder, name.encode(), f"splits/{name}/1/vocals.wav")

    def found(self, address: str) -> set[str]:
        """Return the names of the files in a storage, each of which is whole."""
        storage, names = self.at(address), set()
        for key in storage.walk("splits"):
            name = key.split("/")[1]
            assert read(storage, key) == name.encode()
            names.add(name)
        return names


@pytest.fixture
def service(
    settings: Settings,
    database: Database,
    bucket_address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Installation:
    monkeypatch.delenv(f"{PREFIX}STORAGE")
    settings = settings.model_copy(
        update={name: getattr(Settings(), name) for name in ("storage_endpoint", "storage_region")}
    )
    keys = installation.start(settings, database)
    return Installation(settings, database, keys, bucket_address, tmp_path)


def test_there_and_back(service: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = service.address
    service.put("disk", "split_a", "split_b")
    for refused in ((bucket,), (bucket, "disk")):
        with pytest.raises(WrongInstallation):
            service.start(*refused)

    assert moving.migrate(service.settings, bucket)
    printed = capsys.readouterr().out
    assert f"Copied 2 files (14 bytes) from disk to {bucket}; 0 were there already." in printed
    assert f"set {PREFIX}STORAGE={bucket}, set {PREFIX}STORAGE_FALLBACK=disk, restart" in printed

    service.put("disk", "split_c")  # before the restart
    service.start(bucket, "disk")
    found = [*checks.storage(service.on(bucket, "disk"))]
    assert [(finding.state, finding.todo) for finding in found[:2]] == [
        ("ok", None),
        (
            "warning",
            f"aistemsplitter-server storage migrate --to {bucket}, then remove"
            f" {PREFIX}STORAGE_FALLBACK",
        ),
    ]
    service.put(bucket, "split_d")  # and after it
    both = configured(service.on(bucket, "disk"), service.secrets)
    assert read(both, "splits/split_c/1/vocals.wav") == b"split_c"
    both.delete_prefix("splits/split_b")

    assert moving.migrate(service.on(bucket, "disk"), bucket)
    printed = capsys.readouterr().out
    assert "Copied 1 files (7 bytes)" in printed
    assert f"remove {PREFIX}STORAGE_FALLBACK and restart" in printed
    service.start(bucket)
    assert service.found(bucket) == {"split_a", "split_c", "split_d"}

    assert moving.migrate(service.on(bucket), "disk")
    printed = capsys.readouterr().out
    assert "Copied 1 files (7 bytes)" in printed
    assert f"remove {PREFIX}STORAGE, set {PREFIX}STORAGE_FALLBACK={bucket}, restart" in printed
    service.start(None, bucket)
    assert moving.migrate(service.on(None, bucket), "disk")
    service.start(None)
    assert service.found("disk") >= {"split_a", "split_c", "split_d"}


def test_killed_in_the_middle(service: Installation) -> None:
    names = {f"split_{number}" for number in range(20)}
    service.put("disk", *names)
    arguments = ["storage", "migrate", "--to", service.address]
    data = str(service.settings.data)
    killed = subprocess.run(
        [sys.executable, "-c", DIES, "--data", data, *arguments],
        capture_output=True,
        cwd=service.folder,
        timeout=300,
    )
    assert killed.returncode == -9
    assert service.found(service.address) < names
    with pytest.raises(WrongInstallation):
        service.start(service.address)
    assert [*(service.settings.data / moving.FOLDER).iterdir()]  # what it was copying

    again = run(service.folder, *arguments)
    assert (again.returncode, again.stderr) == (0, "")
    assert service.found(service.address) == names
    assert service.found("disk") == names
    assert not (service.settings.data / moving.FOLDER).exists()
    service.start(service.address)
    third = run(service.folder, *arguments)
    assert "Copied 0 files (0 bytes)" in third.stdout
    assert "20 were there already" in third.stdout
    for secret in ("tester", "a-secret-of-the-tests"):
        assert secret not in again.stdout + third.stdout


def test_downloads_while_files_are_moved(service: Installation) -> None:
    """A stem that is still on disk, and one in the bucket."""
    service.put("disk", "split_a")
    assert moving.migrate(service.settings, service.address)
    settings = service.on(service.address, "disk")
    storage = configured(settings, service.secrets)
    service.put("disk", "split_b")
    app = create_app(settings, service.database, service.secrets)
    with serving(app) as client:
        for name, status in (("split_a", 302), ("split_b", 200)):
            key = f"splits/{name}/1/vocals.wav"
            url = urlsplit(storage.url(key, expires_in=timedelta(hours=1), filename="a.wav"))
            answer = client.get(f"{url.path}?{url.query}", follow_redirects=False)
            assert answer.status_code == status
            if status == 200:
                assert answer.content == name.encode()


def test_lines_where_there_is_no_terminal(
    service: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service.put("disk", "split_a", "split_b")
    monkeypatch.setattr(moving, "PERIOD", 0.0)
    assert moving.migrate(service.settings, service.address)
    assert capsys.readouterr().out.splitlines()[:3] == [
        "2 files",
        "1 of 2 files, 7 bytes copied",
        "2 of 2 files, 14 bytes copied",
    ]


def test_a_bar_in_a_terminal(
    service: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service.put("disk", "split_a", "split_b")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert moving.migrate(service.settings, service.address)
    printed = capsys.readouterr().out
    assert "2/2" in printed
    assert "2 of 2 files" not in printed


def test_a_bucket_of_another_database(service: Installation) -> None:
    other = service.at(service.address)
    put(other, service.folder, b"0" * 32, installation.ID)
    with pytest.raises(WrongInstallation, match="belongs to another database"):
        moving.migrate(service.settings, service.address)


def test_a_disk_that_is_unmounted_is_not_taken_for_an_empty_one(
    service: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.put("disk", "split_a")
    count = moving.copying.count

    def unmount(source: Storage) -> int:
        found = count(source)
        (service.settings.data / "storage").rename(service.settings.data / "unmounted")
        (service.settings.data / "storage").mkdir()
        return found

    monkeypatch.setattr(moving.copying, "count", unmount)
    with pytest.raises(WrongInstallation):
        moving.migrate(service.settings, service.address)
    with pytest.raises(Missing):
        service.at(service.address).info(installation.ID)


def test_files_that_cannot_be_copied(
    service: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service.put("disk", *(f"split_{number}" for number in range(100)))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(moving.copying, "_transfer", fail)
    assert not moving.migrate(service.settings, service.address)
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert len(lines) == moving.MANY + 1
    assert "/1/vocals.wav: No space left on device" in lines[0]
    assert "Next:" not in printed.out
    with pytest.raises(WrongInstallation):
        service.start(service.address)


def test_what_cannot_be_migrated(service: Installation) -> None:
    for settings, to, source, said in (
        (service.settings, "disk", None, "already stores its files in disk"),
        (service.settings, service.address, service.address, "name two storages"),
    ):
        with pytest.raises(CannotMigrate, match=said):
            moving.migrate(settings, to, source)
    with (
        FileLock(service.settings.data / moving.LOCK),
        pytest.raises(CannotMigrate, match="another `storage migrate` is at work"),
    ):
        moving.migrate(service.settings, service.address)
    done = run(service.folder, "storage", "migrate", "--to", "s3://bucket/../etc")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "aistemsplitter-server: s3://bucket/../etc: must be disk, s3://bucket or s3://bucket/prefix"
    ]
