from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path

import pytest

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing
from aistemsplitter_server.storage.keys import InvalidKey
from aistemsplitter_server.storage.local import LocalStorage

KEY = "splits/split_1/1/vocals.wav"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    """An empty storage."""
    return LocalStorage(tmp_path, Secrets(bytes(32)), "http://127.0.0.1:8000")


def put(storage: LocalStorage, folder: Path, content: bytes, key: str = KEY) -> None:
    draft = folder / "draft"
    draft.write_bytes(content)
    storage.put_file(key, draft)
    assert not draft.exists()


def test_put_and_read(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, tmp_path, b"first")
    put(storage, tmp_path, b"second")
    with storage.open(KEY) as file:
        assert file.read() == b"second"
    assert storage.info(KEY).size == 6
    with storage.local_path(KEY) as path:
        assert path.read_bytes() == b"second"
    assert storage.info(KEY).sha256 == hashlib.sha256(b"second").digest()


def test_from_another_file_system(storage: LocalStorage) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or not os.access(shm, os.W_OK):
        pytest.skip("no second file system")
    path = shm / f"aistemsplitter-{os.getpid()}"
    path.write_bytes(b"song")
    storage.put_file(KEY, path)
    assert not path.exists()
    assert storage.info(KEY).size == 4


def test_missing_objects(storage: LocalStorage, tmp_path: Path) -> None:
    for missing in (storage.open, storage.info):
        with pytest.raises(Missing):
            missing(KEY)
    storage.delete_prefix(KEY)
    with pytest.raises(FileNotFoundError):
        storage.put_file(KEY, tmp_path / "nothing")
    with pytest.raises(Missing):
        storage.info(KEY)


def test_deleting(storage: LocalStorage, tmp_path: Path) -> None:
    other = "splits/split_10/1/vocals.wav"
    for key in (KEY, "splits/split_1/2/vocals.wav", other):
        put(storage, tmp_path, b"x", key)
    storage.delete_prefix(keys.attempt("split_1", 1))
    assert storage.info("splits/split_1/2/vocals.wav").size == 1
    storage.delete_prefix(keys.split("split_1"))
    with pytest.raises(Missing):
        storage.info("splits/split_1/2/vocals.wav")
    assert storage.info(other).size == 1


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "a/../b", "../a", "a//b", ".hidden", "a/.b", "a\0", "a\nb", "ä", "a/"],
)
def test_invalid_keys(storage: LocalStorage, tmp_path: Path, key: str) -> None:
    with pytest.raises(InvalidKey):
        storage.open(key)
    with pytest.raises(InvalidKey):
        storage.delete_prefix(key)
    with pytest.raises(InvalidKey):
        storage.put_file(key, tmp_path)


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


def test_urls_require_valid_keys(storage: LocalStorage) -> None:
    url = storage.url(KEY, expires_in=timedelta(hours=1), filename="a b.wav")
    assert url.startswith(f"http://127.0.0.1:8000/storage/{KEY}?expires=")
    with pytest.raises(InvalidKey):
        storage.url("../x", expires_in=timedelta(hours=1), filename="a")
