"""Storing files while a bucket cannot be used."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import StorageFailed
from aistemsplitter_server.storage.local import LocalStorage
from aistemsplitter_server.worker import context as context_module
from aistemsplitter_server.worker.context import WorkerContext
from databases import only_sqlite

pytestmark = only_sqlite  # these tests do not use the database

KEY = keys.fetched("split_1")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_module, "PAUSE", 0.0)


def fail(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> list[int]:
    """Let storing fail with these numbers first; return those that are left."""
    left, put = [*numbers], LocalStorage.put_file

    def failing(self: LocalStorage, key: str, path: Path) -> None:
        if left:
            raise StorageFailed(left.pop(0), "the bucket cannot be used", "wait")
        put(self, key, path)

    monkeypatch.setattr(LocalStorage, "put_file", failing)
    return left


def test_a_storage_that_is_away_for_a_while(
    context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = fail(monkeypatch, errno.EHOSTUNREACH, errno.ENOSPC, errno.EIO)
    (tmp_path / "song").write_bytes(b"song")
    context.put_file(KEY, tmp_path / "song")
    assert not left
    assert context.storage.info(KEY).size == 4


def test_a_storage_that_denies_access(
    context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = fail(monkeypatch, errno.EACCES, errno.EACCES)
    with pytest.raises(StorageFailed):
        context.put_file(KEY, tmp_path / "song")
    assert len(left) == 1


def test_a_storage_that_stays_away(
    context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_module, "STORAGE_TIMEOUT", -1.0)
    left = fail(monkeypatch, errno.EIO, errno.EIO)
    with pytest.raises(StorageFailed):
        context.put_file(KEY, tmp_path / "song")
    assert len(left) == 1
