"""Downloads over a socket that breaks in every way: whole and right, or one error and no file."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter import (
    AiStemSplitter,
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
from loopback import Loopback

STEM = os.urandom(300_000)
STORAGE = "^/storage/"
STEMS = ["drums", "bass", "other", "vocals"]


@pytest.fixture
def split_id(loopback: Loopback) -> str:
    """A split that succeeded, its stems as large as several reads of a socket."""
    loopback.service._stem_audio = STEM
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        job = client.submit(audio_url="https://example.com/song.mp3")
    loopback.service.finish(job.id)
    loopback.seen.clear()
    return job.id


@pytest.fixture
def client(kind: str, loopback: Loopback) -> Any:
    return Runner(kind, base_url=loopback.url)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def gets(loopback: Loopback) -> list[dict[str, str]]:
    return [headers for _, path, headers in loopback.seen if path.startswith("/storage/")]


def without(*names: str) -> Any:
    def change(reply: Reply) -> Reply:
        kept = {name: value for name, value in reply.headers.items() if name not in names}
        return replace(reply, headers=kept)

    return change


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
    assert all("authorization" not in headers for headers in gets(loopback))
    assert len(gets(loopback)) == 4


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_resumed(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path, fault: str
) -> None:
    loopback.fault(fault, STORAGE, at=200_000)
    loopback.fault("cut", STORAGE, at=50_000)
    paths = client.download(split_id, tmp_path, stems=["vocals"])
    assert paths["vocals"].read_bytes() == STEM
    ranges = [headers.get("range") for headers in gets(loopback)]
    assert ranges[-1] == ("bytes=250000-" if fault == "cut" else "bytes=50000-")
    assert gets(loopback)[-1]["if-range"].startswith('"')


def test_a_stalled_line_is_resumed(
    kind: str, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("stall", STORAGE, at=100_000)
    client = Runner(kind, base_url=loopback.url, timeout=Timeouts(read=0.2))
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM


def test_ranges_ignored(client: Any, split_id: str, loopback: Loopback, tmp_path: Path) -> None:
    loopback.fault("cut", STORAGE, at=100_000)
    loopback.fault("no_range", STORAGE)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM


def test_without_a_validator_it_starts_over(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("cut", STORAGE, at=100_000, change=without("etag"))
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    assert "range" not in gets(loopback)[-1]


def test_another_range_than_asked(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("cut", STORAGE, at=100_000)
    wrong = {"content-range": f"bytes 5-{len(STEM) - 1}/{len(STEM)}"}
    loopback.fault(
        "change", STORAGE, change=lambda reply: replace(reply, headers={**reply.headers, **wrong})
    )
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM


def test_a_corrupted_byte_is_noticed_and_fetched_again(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("corrupt", STORAGE, at=123_456)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    loopback.fault("corrupt", STORAGE, at=123_456, times=99)
    with pytest.raises(IntegrityError, match="sha256 checksum"):
        client.download(split_id, tmp_path, stems=["vocals"])
    assert names_in(tmp_path) == ["bass.wav"]


def test_expired_urls_are_fetched_anew(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    split = client.get_split(split_id)
    loopback.service.expire_urls()
    paths = client.download(split, tmp_path)
    assert all(path.read_bytes() == STEM for path in paths.values())


def test_expired_while_it_is_resumed(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("cut", STORAGE, at=100_000)

    def expire(_: TransferProgress) -> None:
        loopback.service.expire_urls()

    path = client.download(split_id, tmp_path, stems=["bass"], on_progress=expire)["bass"]
    assert path.read_bytes() == STEM


def test_gone_for_good(client: Any, split_id: str, loopback: Loopback, tmp_path: Path) -> None:
    loopback.service.fail_next(403, path="/storage/", times=99)
    with pytest.raises(DownloadFailed, match="vocals could not be downloaded"):
        client.download(split_id, tmp_path, stems=["vocals"])
    assert names_in(tmp_path) == []


def test_one_that_fails_stops_the_others(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.fault("reset", "/bass", times=99)
    with pytest.raises(DownloadFailed, match="bass"):
        client.download(split_id, tmp_path)
    assert not [name for name in names_in(tmp_path) if name.endswith(".part")]


def test_redirects_to_another_host_bear_no_key(
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


def test_files_that_are_complete_are_kept(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    client.download(split_id, tmp_path, stems=["bass", "drums"])
    loopback.seen.clear()
    paths = client.download(split_id, tmp_path)
    assert all(path.read_bytes() == STEM for path in paths.values())
    probed = [headers for headers in gets(loopback) if headers.get("range") == "bytes=0-0"]
    assert (len(probed), len(gets(loopback))) == (2, 4)


@pytest.mark.parametrize(
    "content",
    [b"mine", os.urandom(len(STEM)), STEM[:-1], STEM + b"\0"],
    ids=["mine", "as long", "shorter", "longer"],
)
def test_another_file_of_that_name_is_an_error(
    client: Any, split_id: str, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "bass.wav").write_bytes(content)
    with pytest.raises(FileError, match=r"bass\.wav exists and is not bass of split_") as caught:
        client.download(split_id, tmp_path)
    assert caught.value.code == "FILE_EXISTS"
    assert names_in(tmp_path) == ["bass.wav"]  # nothing was downloaded beside it
    assert (tmp_path / "bass.wav").read_bytes() == content
    paths = client.download(split_id, tmp_path, overwrite=True)
    assert all(path.read_bytes() == STEM for path in paths.values())


def test_two_songs_in_one_folder(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    client.download(split_id, tmp_path)
    loopback.service._stem_audio = os.urandom(1000)
    other = client.submit(audio_url="https://example.com/other.mp3")
    loopback.service.finish(other.id)
    with pytest.raises(FileError, match="Choose another folder or pass overwrite=True"):
        client.download(other.id, tmp_path)
    assert (tmp_path / "vocals.wav").read_bytes() == STEM


def test_without_a_checksum_an_existing_file_is_not_trusted(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    client.download(split_id, tmp_path, stems=["bass"])
    loopback.fault("change", STORAGE, change=without("repr-digest"))
    with pytest.raises(FileError, match="announces no checksum of bass"):
        client.download(split_id, tmp_path, stems=["bass"])


def interrupted(client: Any, split_id: str, loopback: Loopback, folder: Path) -> Path:
    """Let a download of the bass end after 200,000 bytes; return its partial file."""
    loopback.fault("cut", STORAGE, at=200_000)
    loopback.fault("reset", STORAGE, times=99)
    with pytest.raises(DownloadFailed):
        client.download(split_id, folder, stems=["bass"])
    loopback.faults.clear()
    loopback.seen.clear()
    (part,) = folder.glob(".*.part")
    assert part.stat().st_size == 200_000
    return part


def test_the_next_run_resumes(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    interrupted(client, split_id, loopback, tmp_path)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    assert [headers.get("range") for headers in gets(loopback)] == ["bytes=199999-"]
    assert names_in(tmp_path) == ["bass.wav"]


def test_a_partial_file_that_is_whole(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    """As when the process was killed just before the file was renamed."""
    interrupted(client, split_id, loopback, tmp_path).write_bytes(STEM)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    assert len(gets(loopback)) == 1


@pytest.mark.parametrize(
    "content", [os.urandom(200_000), os.urandom(len(STEM) + 500)], ids=["other bytes", "too long"]
)
def test_a_partial_file_that_is_damaged(
    kind: str, split_id: str, loopback: Loopback, tmp_path: Path, content: bytes
) -> None:
    client = Runner(kind, base_url=loopback.url, max_retries=0)
    interrupted(client, split_id, loopback, tmp_path).write_bytes(content)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    assert names_in(tmp_path) == ["bass.wav"]


def test_no_other_stem_or_split_resumes_it(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    interrupted(client, split_id, loopback, tmp_path)
    client.download(split_id, tmp_path, stems=["vocals"])
    other = client.submit(audio_url="https://example.com/other.mp3")
    loopback.service.finish(other.id)
    client.download(other.id, tmp_path / "other", stems=["bass"])
    assert not [headers for headers in gets(loopback) if "range" in headers]


def test_without_a_checksum_the_next_run_starts_over(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    interrupted(client, split_id, loopback, tmp_path)
    loopback.fault("change", STORAGE, change=without("repr-digest"), times=2)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    assert [headers.get("range") for headers in gets(loopback)] == ["bytes=199999-", None]


def test_a_partial_file_in_use_is_left_alone(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    before = interrupted(client, split_id, loopback, tmp_path).read_bytes()
    other = _part.Part(tmp_path, split_id, "bass")
    other.open()
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    assert other.path.read_bytes() == before[:-1]
    other.close(keep=False)
    assert names_in(tmp_path) == ["bass.wav"]


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


def test_a_pause_beyond_the_deadline_is_not_begun(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    loopback.service.fail_next(503, path="/storage/", retry_after=100_000, times=99)
    with pytest.raises(DownloadFailed, match="bass") as caught:
        client.download(split_id, tmp_path, stems=["bass"], timeout=20)
    assert caught.value.retry_after == 100_000


def test_progress(client: Any, split_id: str, tmp_path: Path) -> None:
    told: list[TransferProgress] = []
    client.download(split_id, tmp_path, parallel=2, on_progress=told.append)
    for stem in STEMS:
        last = [each for each in told if each.name == stem][-1]
        assert (last.bytes_done, last.bytes_total) == (len(STEM), len(STEM))


def test_no_more_at_once_than_told(client: Any, split_id: str, tmp_path: Path) -> None:
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


def test_what_cannot_be_downloaded(client: Any, split_id: str, tmp_path: Path) -> None:
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


def test_total_time(client: Any, split_id: str, loopback: Loopback, tmp_path: Path) -> None:
    loopback.fault("stall", STORAGE, at=100, times=99)
    with pytest.raises(DeadlineExceeded, match="deadline"):
        client.download(split_id, tmp_path, timeout=0.3)
    loopback.faults.clear()
    paths = client.download(split_id, tmp_path)
    assert all(path.read_bytes() == STEM for path in paths.values())
    assert names_in(tmp_path) == sorted(f"{stem}.wav" for stem in STEMS)


def test_the_total_of_the_client_holds_for_downloads(
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
