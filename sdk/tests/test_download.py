"""Downloads over failing connections: each stem is complete and correct, or one error is raised."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter import (
    DeadlineExceeded,
    DiskFull,
    DownloadFailed,
    FileError,
    InputError,
    IntegrityError,
    NotFound,
    SplitFailed,
    Timeouts,
    TransferProgress,
    _core,
    _part,
)
from aistemsplitter.testing import Reply
from clients import KEY, Runner
from downloads import STEM, STEMS, STORAGE, names_in, without
from loopback import Loopback


def test_all_stems(client: Any, split_id: str, tmp_path: Path) -> None:
    paths = client.download_split(split_id, tmp_path / "new" / "folder")
    assert list(paths) == STEMS
    assert {path.name for path in paths.values()} == {f"{stem}.wav" for stem in STEMS}
    assert all(path.read_bytes() == STEM for path in paths.values())
    assert names_in(tmp_path / "new" / "folder") == sorted(f"{s}.wav" for s in STEMS)


def test_no_key_goes_to_the_storage(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    client.download(split_id, tmp_path)
    assert all("authorization" not in headers for headers in loopback.storage_requests())
    assert len(loopback.storage_requests()) == 4


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_resumed(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path, fault: str
) -> None:
    loopback.fault(fault, STORAGE, at=200_000)
    loopback.fault("cut", STORAGE, at=50_000)
    paths = client.download(split_id, tmp_path, stems=["vocals"])
    assert paths["vocals"].read_bytes() == STEM
    ranges = [headers.get("range") for headers in loopback.storage_requests()]
    assert ranges[-1] == ("bytes=250000-" if fault == "cut" else "bytes=50000-")
    assert loopback.storage_requests()[-1]["if-range"].startswith('"')


def test_a_stalled_download_is_resumed(
    kind: str, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("stall", STORAGE, at=100_000)
    client = Runner(kind, base_url=loopback.url, timeout=Timeouts(read=0.2))
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM


def test_a_server_that_ignores_ranges(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("cut", STORAGE, at=100_000)
    loopback.fault("no_range", STORAGE)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM


def test_without_a_validator_it_starts_over(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("cut", STORAGE, at=100_000, change=without("etag"))
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    assert "range" not in loopback.storage_requests()[-1]


def test_a_wrong_range(client: Any, split_id: str, loopback: Loopback, tmp_path: Path) -> None:
    loopback.fault("cut", STORAGE, at=100_000)
    wrong = {"content-range": f"bytes 5-{len(STEM) - 1}/{len(STEM)}"}
    loopback.fault(
        "change", STORAGE, change=lambda reply: replace(reply, headers={**reply.headers, **wrong})
    )
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM


def test_a_corrupted_stem_is_downloaded_again(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("corrupt", STORAGE, at=123_456)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    loopback.fault("corrupt", STORAGE, at=123_456, times=99)
    with pytest.raises(IntegrityError, match="sha256 checksum"):
        client.download(split_id, tmp_path, stems=["vocals"])
    assert names_in(tmp_path) == ["bass.wav"]


def test_expired_urls_are_renewed(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    split = client.get_split(split_id)
    loopback.service.expire_urls()
    paths = client.download(split, tmp_path)
    assert all(path.read_bytes() == STEM for path in paths.values())


def test_url_expires_before_a_resume(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("cut", STORAGE, at=100_000)

    def expire(_: TransferProgress) -> None:
        loopback.service.expire_urls()

    path = client.download(split_id, tmp_path, stems=["bass"], on_progress=expire)["bass"]
    assert path.read_bytes() == STEM


def test_missing_from_the_storage(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.service.fail_next(403, path="/storage/", times=99)
    with pytest.raises(DownloadFailed, match="vocals could not be downloaded"):
        client.download(split_id, tmp_path, stems=["vocals"])
    assert names_in(tmp_path) == []


def test_one_failure_stops_the_others(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("reset", "/bass", times=99)
    with pytest.raises(DownloadFailed, match="bass"):
        client.download(split_id, tmp_path)
    assert not [name for name in names_in(tmp_path) if name.endswith(".part")]


def test_redirects_to_another_host_carry_no_key(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    with Loopback() as other:
        other.service._storage.put("elsewhere", STEM)
        url = other.service._storage.presign("elsewhere")
        loopback.service.answer_next(Reply(302, {"location": url}), path="/storage/")
        assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
        assert KEY not in str(other.seen)


def test_endless_redirects(client: Any, split_id: str, loopback: Loopback, tmp_path: Path) -> None:
    around = Reply(302, {"location": "/storage/again"})
    loopback.service.answer_next(around, path="/storage/", times=99)
    with pytest.raises(DownloadFailed, match="redirects more than"):
        client.download(split_id, tmp_path, stems=["bass"])


def test_expired_urls_are_renewed_without_retries(
    kind: str, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    client = Runner(kind, base_url=loopback.url, max_retries=0)
    split = client.get_split(split_id)
    loopback.service.expire_urls()
    assert len(client.download(split, tmp_path)) == 4


def test_a_proxy_that_changes_the_status(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("change", STORAGE, change=lambda reply: replace(reply, status=203))
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM


def test_a_success_without_content(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("change", STORAGE, change=lambda reply: replace(reply, status=202), times=99)
    with pytest.raises(DownloadFailed, match="answered 202"):
        client.download(split_id, tmp_path, stems=["bass"])


def test_retry_after_is_capped(
    kind: str, split_id: str, loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_core, "LONGEST_RETRY_AFTER", 0.01)
    client = Runner(kind, base_url=loopback.url)
    loopback.service.fail_next(503, path="/storage/", retry_after=100_000)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM


def test_no_pause_begins_that_exceeds_the_deadline(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.service.fail_next(503, path="/storage/", retry_after=100_000, times=99)
    with pytest.raises(DownloadFailed, match="bass") as caught:
        client.download(split_id, tmp_path, stems=["bass"], timeout=20)
    assert caught.value.retry_after == 100_000


def test_progress(client: Any, split_id: str, tmp_path: Path) -> None:
    updates: list[TransferProgress] = []
    client.download(split_id, tmp_path, parallel=2, on_progress=updates.append)
    for stem in STEMS:
        last = [each for each in updates if each.name == stem][-1]
        assert (last.bytes_done, last.bytes_total) == (len(STEM), len(STEM))


def test_parallel_limits_the_simultaneous_downloads(
    client: Any, split_id: str, tmp_path: Path
) -> None:
    most = 0

    def count(_: TransferProgress) -> None:
        nonlocal most
        most = max(most, len([name for name in names_in(tmp_path) if name.endswith(".part")]))

    client.download(split_id, tmp_path, parallel=1, on_progress=count)
    assert most == 1


def test_disk_full(
    client: Any, split_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_part.Part, "append", full)
    with pytest.raises(DiskFull, match="No space left"):
        client.download(split_id, tmp_path)
    assert names_in(tmp_path) == []


def test_folder_that_is_a_file(client: Any, split_id: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileError):
        client.download(split_id, tmp_path / "file")


def test_invalid_downloads(client: Any, split_id: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no piano"):
        client.download(split_id, tmp_path, stems=["piano"])
    with pytest.raises(InputError, match="list of names"):
        client.download(split_id, tmp_path, stems="bass")
    with pytest.raises(InputError, match="parallel"):
        client.download(split_id, tmp_path, parallel=0)
    with pytest.raises(NotFound):
        client.download("split_none", tmp_path)
    queued = client.submit(audio_url="https://example.com/song.mp3")
    with pytest.raises(InputError, match="is still queued: call wait_for_split first"):
        client.download(queued.id, tmp_path)
    client.cancel_split(queued.id)
    with pytest.raises(SplitFailed, match="CANCELED"):
        client.download(queued.id, tmp_path)


def test_timeout_of_a_download(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("stall", STORAGE, at=100, times=99)
    with pytest.raises(DeadlineExceeded, match="deadline"):
        client.download(split_id, tmp_path, timeout=0.3)
    loopback.faults.clear()
    paths = client.download(split_id, tmp_path)
    assert all(path.read_bytes() == STEM for path in paths.values())
    assert names_in(tmp_path) == sorted(f"{stem}.wav" for stem in STEMS)


def test_total_timeout_of_the_client(
    kind: str, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("stall", STORAGE, at=100, times=99)
    client = Runner(kind, base_url=loopback.url, timeout=0.3)
    with pytest.raises(DeadlineExceeded, match="deadline"):
        client.download(split_id, tmp_path)


def test_names_from_the_server_stay_in_the_folder(
    client: Any, split_id: str, tmp_path: Path
) -> None:
    split = client.get_split(split_id)
    url = split.stems["bass"]
    evil = replace(split, stems=type(split.stems)({"../../evil": url, "/etc/evil": url}))
    paths = client.download(evil, tmp_path / "in")
    assert all(path.parent == tmp_path / "in" for path in paths.values())
    assert names_in(tmp_path) == ["in"]
