"""Copying between a folder and a bucket, both ways."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.storage import copying, keys
from aistemsplitter_server.storage.copying import Result
from aistemsplitter_server.storage.interface import Missing, Storage
from aistemsplitter_server.storage.local import LocalStorage
from storage.stored import BIG, KEY, SONG, claim, put, read

OTHER = "splits/split_1/1/drums.wav"


@pytest.fixture
def source(storage: Storage) -> Iterator[Storage]:
    """A storage, on disk and in a bucket."""
    storage.check()
    yield storage
    for prefix in copying.PREFIXES:
        storage.delete_prefix(prefix)


@pytest.fixture
def target(source: Storage, tmp_path: Path, request: pytest.FixtureRequest) -> Storage:
    """A bucket if the source is on disk, and the other way round."""
    if isinstance(source, LocalStorage):
        found: Storage = request.getfixturevalue("s3")
    else:
        found = LocalStorage(tmp_path / "other", Secrets(bytes(32)), "http://a.example")
    found.check()
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for temporary files."""
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder


def copied(source: Storage, target: Storage, folder: Path, *, live: bool = False) -> list[Result]:
    """Copy everything, and leave no temporary file."""
    results = [*copying.copy_all(source, target, folder, live=live)]
    assert not [*folder.iterdir()]
    return sorted(results, key=lambda result: result.key)


def upload(storage: Storage, content: bytes) -> None:
    """Store an upload as the API does, which leaves no digest in a bucket."""
    partial = storage.partial(SONG, None, claim)
    partial.write(content)
    partial.store()
    partial.close()


def test_everything_is_copied_once(
    source: Storage, target: Storage, folder: Path, tmp_path: Path
) -> None:
    put(source, tmp_path, BIG)
    put(source, tmp_path, b"", OTHER)
    put(source, tmp_path, b"fetched", keys.fetched("split_1"))
    upload(source, b"song")
    assert copying.count(source) == 4
    every = {KEY: BIG, OTHER: b"", keys.fetched("split_1"): b"fetched", SONG: b"song"}
    assert copied(source, target, folder) == [
        Result(key, "copied", len(every[key])) for key in sorted(every)
    ]
    for key, content in every.items():
        assert read(target, key) == content
        assert read(source, key) == content
    for live in (False, True):
        again = copied(source, target, folder, live=live)
        assert again == [Result(key, "there") for key in sorted(every)]


def test_what_no_service_has_stored_is_passed_over(tmp_path: Path, folder: Path) -> None:
    source, target = (
        LocalStorage(tmp_path / name, Secrets(bytes(32)), "http://a.example")
        for name in ("one", "two")
    )
    put(source, tmp_path, b"stem")
    root = tmp_path / "one" / "storage" / "splits"
    (tmp_path / "secret").write_text("secret")
    (root / "planted").symlink_to(tmp_path / "secret")
    (root / "linked").symlink_to(tmp_path)
    (root / "a b").write_text("no key")
    (root / ".hidden").write_text("no key")
    assert copied(source, target, folder) == [Result(KEY, "copied", 4)]


def test_a_copy_that_differs(
    source: Storage, target: Storage, folder: Path, tmp_path: Path
) -> None:
    put(source, tmp_path, b"right")
    put(target, tmp_path, b"wrong")
    assert copied(source, target, folder, live=True) == [Result(KEY, "there")]
    assert read(target) == b"wrong"  # the service has stored it since
    assert copied(source, target, folder) == [Result(KEY, "copied", 5)]
    assert read(target) == b"right"


def test_an_object_that_was_replaced_after_its_copy(tmp_path: Path, folder: Path) -> None:
    source, target = (
        LocalStorage(tmp_path / name, Secrets(bytes(32)), "http://a.example")
        for name in ("one", "two")
    )
    put(target, tmp_path, b"old")
    path = tmp_path / "two" / "storage" / KEY
    os.utime(path, (1e9, 1e9))
    put(source, tmp_path, b"newer")
    assert copied(source, target, folder, live=True) == [Result(KEY, "copied", 5)]
    assert read(target) == b"newer"


def test_an_object_that_is_deleted_meanwhile(
    source: Storage, target: Storage, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(source, tmp_path, b"stem")
    put_file = type(target).put_file

    def late(self: Storage, key: str, path: Path) -> None:
        put_file(self, key, path)
        source.delete_prefix(key)

    monkeypatch.setattr(type(target), "put_file", late)
    assert copied(source, target, folder) == [Result(KEY, "gone")]
    with pytest.raises(Missing):
        target.info(KEY)


def test_a_damaged_object(tmp_path: Path, folder: Path) -> None:
    source, target = (
        LocalStorage(tmp_path / name, Secrets(bytes(32)), "http://a.example")
        for name in ("one", "two")
    )
    put(source, tmp_path, b"stem")
    put(source, tmp_path, b"drums", OTHER)
    path = tmp_path / "one" / "storage" / KEY
    found = path.stat()
    path.write_bytes(b"mets")  # a disk that returns other bytes
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    drums, vocals = copied(source, target, folder)
    assert drums == Result(OTHER, "copied", 5)
    assert vocals.state == "failed"
    assert "its bytes are not those that were stored" in vocals.problem
    with pytest.raises(Missing):
        target.info(KEY)


def test_a_copy_that_is_damaged(
    source: Storage, target: Storage, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(source, tmp_path, b"stem")
    original = type(target).open

    def damaged(self: Storage, key: str, span: range | None = None) -> BinaryIO:
        file = original(self, key, span)
        file.read(1)
        return file

    monkeypatch.setattr(type(target), "open", damaged)
    (result,) = copied(source, target, folder)
    assert (result.state, result.problem) == ("failed", "its copy was damaged, and is deleted")
    with pytest.raises(Missing):
        target.info(KEY)


def test_a_storage_that_fails(
    source: Storage, target: Storage, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(source, tmp_path, b"stem")

    def full(_self: Storage, _key: str, _path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(target), "put_file", full)
    assert copied(source, target, folder) == [
        Result(KEY, "failed", problem="No space left on device")
    ]
