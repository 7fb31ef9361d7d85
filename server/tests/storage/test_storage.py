"""What every storage does, on disk and in a bucket."""

from __future__ import annotations

import hashlib
import itertools
from datetime import timedelta
from pathlib import Path

import pytest

from aistemsplitter_server.kit import times
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing, Storage
from aistemsplitter_server.storage.keys import InvalidKey
from storage.stored import BIG, KEY, SONG, claim, put, read


def test_put_and_read(storage: Storage, tmp_path: Path) -> None:
    put(storage, tmp_path, b"first")
    put(storage, tmp_path, b"second")
    assert read(storage) == b"second"
    with storage.local_path(KEY) as path:
        assert path.read_bytes() == b"second"
    info = storage.info(KEY)
    assert (info.size, info.sha256) == (6, hashlib.sha256(b"second").digest())
    assert info.etag == f'"{hashlib.sha256(b"second").hexdigest()[:32]}"'


def test_a_large_object(storage: Storage, tmp_path: Path) -> None:
    put(storage, tmp_path, BIG)
    info = storage.info(KEY)
    assert (info.size, info.sha256) == (len(BIG), hashlib.sha256(BIG).digest())
    with storage.local_path(KEY) as path:
        assert path.read_bytes() == BIG
    for span in (range(10, 20), range(len(BIG) - 5, len(BIG)), range(1 << 20, 9 << 20)):
        with storage.open(KEY, span) as file:
            assert file.read(len(span)) == BIG[span.start : span.stop]


def test_an_empty_object(storage: Storage, tmp_path: Path) -> None:
    put(storage, tmp_path, b"")
    assert storage.info(KEY).size == 0
    with storage.open(KEY, range(0)) as file:
        assert file.read(1) == b""


def test_missing_objects(storage: Storage, tmp_path: Path) -> None:
    for missing in (storage.open, storage.info):
        with pytest.raises(Missing):
            missing(KEY)
    with pytest.raises(Missing), storage.local_path(KEY):
        pass
    storage.delete_prefix(KEY)
    with pytest.raises(FileNotFoundError):
        storage.put_file(KEY, tmp_path / "nothing")
    with pytest.raises(Missing):
        storage.info(KEY)


def test_deleting(storage: Storage, tmp_path: Path) -> None:
    other = "splits/split_10/1/vocals.wav"
    for key in (KEY, "splits/split_1/2/vocals.wav", other):
        put(storage, tmp_path, b"x", key)
    assert sorted(storage.names("splits")) == ["split_1", "split_10"]
    assert sorted(storage.walk("splits")) == sorted([KEY, "splits/split_1/2/vocals.wav", other])
    assert [*storage.walk("splits/split_10")] == [other]
    storage.delete_prefix(keys.attempt("split_1", 1))
    assert storage.info("splits/split_1/2/vocals.wav").size == 1
    storage.delete_prefix(keys.split("split_1"))
    with pytest.raises(Missing):
        storage.info("splits/split_1/2/vocals.wav")
    assert storage.info(other).size == 1
    assert [*storage.names("splits")] == ["split_10"]
    assert [*storage.names("fetched")] == []
    assert [*storage.walk("fetched")] == []


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "a/../b", "../a", "a//b", ".hidden", "a/.b", "a\0", "a\nb", "ä", "a/"],
)
def test_invalid_keys(storage: Storage, tmp_path: Path, key: str) -> None:
    for refusing in (
        lambda: storage.open(key),
        lambda: storage.info(key),
        lambda: storage.delete_prefix(key),
        lambda: storage.put_file(key, tmp_path),
        lambda: storage.partial(key, None, claim),
        lambda: storage.url(key, expires_in=timedelta(hours=1), filename="a"),
    ):
        with pytest.raises(InvalidKey):
            refusing()


def test_a_link_is_not_stored(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic link"):
        storage.put_file(KEY, tmp_path / "link")


def test_urls(storage: Storage) -> None:
    url = storage.at("http://a.example").url(KEY, expires_in=timedelta(hours=1), filename="a b.wav")
    assert url.startswith(f"http://a.example/storage/{KEY}?expires=")


def test_check(storage: Storage) -> None:
    storage.check()
    storage.check(thorough=True)
    storage.tidy(times.now())


def test_an_upload_over_several_requests(storage: Storage) -> None:
    tokens: list[str | None] = [None]

    def note(before: str | None, token: str) -> None:
        assert before == tokens[-1]
        tokens.append(token)

    cuts = [0, 100, 6 << 20, (8 << 20) + 5, len(BIG)]
    for start, end in itertools.pairwise(cuts):
        partial = storage.partial(SONG, tokens[-1], note)
        assert partial.size == start
        partial.begin(start)
        for at in range(start, end, 1 << 20):
            partial.write(BIG[at : min(at + (1 << 20), end)])
        assert partial.size == end
        partial.close()
        assert [*storage.partials()] == [SONG]
    last = storage.partial(SONG, tokens[-1], note)
    last.store()
    last.close()
    assert read(storage, SONG) == BIG
    assert [*storage.partials()] == []
    assert len(tokens) <= 2


def test_an_upload_that_begins_again(storage: Storage) -> None:
    tokens: list[str | None] = [None]

    def note(_before: str | None, token: str) -> None:
        tokens.append(token)

    for body in (b"wrong" * 100, BIG, b"song"):
        partial = storage.partial(SONG, tokens[-1], note)
        partial.begin(0)
        partial.write(body)
        assert partial.size == len(body)
        partial.begin(min(50, len(body)))
        assert partial.size in (0, min(50, len(body)))
        partial.begin(0)
        partial.write(body)
        partial.close()
    last = storage.partial(SONG, tokens[-1], note)
    last.store()
    last.close()
    assert read(storage, SONG) == b"song"


def test_a_deleted_upload(storage: Storage) -> None:
    tokens: list[str | None] = [None]

    def note(_before: str | None, token: str) -> None:
        tokens.append(token)

    partial = storage.partial(SONG, None, note)
    partial.begin(0)
    partial.write(b"song")
    partial.close()
    storage.delete_partial(SONG)
    assert [*storage.partials()] == []
    storage.delete_partial(SONG)
    with pytest.raises(Missing):
        storage.info(SONG)
