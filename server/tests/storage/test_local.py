from __future__ import annotations

import os
from pathlib import Path

import pytest

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.storage.interface import Missing
from aistemsplitter_server.storage.local import LocalStorage
from storage.stored import KEY, put


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    """An empty storage."""
    return LocalStorage(tmp_path, Secrets(bytes(32)), "http://127.0.0.1:8000")


def test_from_another_file_system(storage: LocalStorage) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or not os.access(shm, os.W_OK):
        pytest.skip("no second file system")
    path = shm / f"aistemsplitter-{os.getpid()}"
    path.write_bytes(b"song")
    storage.put_file(KEY, path)
    assert not path.exists()
    assert storage.info(KEY).size == 4


def test_links_are_not_followed(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, tmp_path, b"x")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "1").mkdir()
    (secret / "file").write_text("secret")
    root = tmp_path / "storage" / "splits"
    (root / "split_2").symlink_to(secret)
    (root / "split_1" / "1" / "bass.wav").symlink_to(secret / "file")
    for key in ("splits/split_2/file", "splits/split_1/1/bass.wav"):
        with pytest.raises(Missing):
            storage.open(key)
    storage.delete_prefix("splits/split_2/file")
    assert (secret / "file").exists()
