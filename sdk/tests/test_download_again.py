"""Downloads into a folder with earlier files, complete or partial."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter import (
    DownloadFailed,
    FileError,
    _part,
)
from clients import Runner
from downloads import STEM, STORAGE, names_in, without
from loopback import Loopback


def test_files_that_are_complete_are_kept(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    client.download(split_id, tmp_path, stems=["bass", "drums"])
    loopback.seen.clear()
    paths = client.download(split_id, tmp_path)
    assert all(path.read_bytes() == STEM for path in paths.values())
    ranges = [headers.get("range") for headers in loopback.storage_requests()]
    assert (ranges.count("bytes=0-0"), len(ranges)) == (2, 4)


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
    assert names_in(tmp_path) == ["bass.wav"]  # nothing else was downloaded
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
    """Interrupt the download of the bass after 200,000 bytes and return its partial file."""
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
    assert [headers.get("range") for headers in loopback.storage_requests()] == ["bytes=199999-"]
    assert names_in(tmp_path) == ["bass.wav"]


def test_a_partial_file_that_is_complete(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    """The process was killed just before it renamed the file."""
    interrupted(client, split_id, loopback, tmp_path).write_bytes(STEM)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    assert len(loopback.storage_requests()) == 1


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
    assert not [headers for headers in loopback.storage_requests() if "range" in headers]


def test_without_a_checksum_the_next_run_starts_over(
    client: Any, split_id: str, loopback: Loopback, tmp_path: Path
) -> None:
    interrupted(client, split_id, loopback, tmp_path)
    loopback.fault("change", STORAGE, change=without("repr-digest"), times=2)
    assert client.download(split_id, tmp_path, stems=["bass"])["bass"].read_bytes() == STEM
    ranges = [headers.get("range") for headers in loopback.storage_requests()]
    assert ranges == ["bytes=199999-", None]


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
