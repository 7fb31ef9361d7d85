"""Two storages as one: what is read from which, and what is deleted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.fallback import FallbackStorage
from aistemsplitter_server.storage.interface import Missing
from aistemsplitter_server.storage.local import LocalStorage
from storage.stored import KEY, SONG, claim, put, read

OTHER = "splits/split_2/1/vocals.wav"


@pytest.fixture
def both(tmp_path: Path) -> FallbackStorage:
    """Two folders."""
    first, second = (
        LocalStorage(tmp_path / name, Secrets(bytes(32)), "http://a.example")
        for name in ("first", "second")
    )
    both = FallbackStorage(first, second)
    both.check(thorough=True)
    return both


def test_the_first_one_is_preferred(both: FallbackStorage, tmp_path: Path) -> None:
    put(both.fallback, tmp_path, b"old")
    assert read(both) == b"old"
    assert both.info(KEY).size == 3
    with both.local_path(KEY) as path:
        assert path.read_bytes() == b"old"
    put(both, tmp_path, b"newer")
    assert read(both) == b"newer"
    assert both.info(KEY).size == 5
    with both.local_path(KEY) as path:
        assert path.read_bytes() == b"newer"
    with both.open(KEY, range(1, 3)) as file:
        assert file.read(2) == b"ew"
    assert read(both.fallback) == b"old"


def test_what_neither_has(both: FallbackStorage) -> None:
    for missing in (both.open, both.info):
        with pytest.raises(Missing):
            missing(KEY)
    with pytest.raises(Missing), both.local_path(KEY):
        pass


def test_deleting_from_both(both: FallbackStorage, tmp_path: Path) -> None:
    put(both.fallback, tmp_path, b"old")
    put(both.first, tmp_path, b"new")
    put(both.fallback, tmp_path, b"x", OTHER)
    assert {*both.names("splits")} == {"split_1", "split_2"}
    assert {*both.walk("splits")} == {KEY, OTHER}
    both.delete_prefix("splits/split_1")
    assert [*both.walk("splits")] == [OTHER]


def test_deleting_although_one_fails(
    both: FallbackStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(both.first, tmp_path, b"new")

    def fail(_prefix: str) -> None:
        raise OSError(5, "broken")

    monkeypatch.setattr(both.fallback, "delete_prefix", fail)
    with pytest.raises(OSError, match="broken"):
        both.delete_prefix(KEY)
    assert [*both.first.walk("splits")] == []


def test_an_unfinished_upload_begins_again(both: FallbackStorage) -> None:
    old = both.fallback.partial(SONG, None, claim)
    old.write(b"half")
    old.close()
    assert [*both.partials()] == [SONG]
    new = both.partial(SONG, None, claim)
    assert new.size == 0
    new.write(b"whole")
    new.store()
    new.close()
    both.delete_partial(SONG)
    assert [*both.partials()] == []
    assert read(both.first, SONG) == b"whole"
    both.tidy(times.now())


def test_downloads_come_from_where_the_object_is(bucket: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, storage_fallback="disk")
    both = configured(settings, Secrets(bytes(32)))
    assert isinstance(both, FallbackStorage)

    def direct() -> str | None:
        return both.direct_url(KEY, expires_in=timedelta(hours=1), filename="a.wav")

    put(both.fallback, tmp_path, b"old")
    assert direct() is None  # the service sends the bytes
    put(both, tmp_path, b"new")
    assert f"/{bucket}/" in str(direct())
    for base in ("http://b.example", "http://c.example"):
        url = both.at(base).url(KEY, expires_in=timedelta(hours=1), filename="a.wav")
        assert url.startswith(f"{base}/storage/{KEY}?")
