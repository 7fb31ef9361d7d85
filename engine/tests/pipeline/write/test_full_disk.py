"""A disk that fills up while stems are written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aistemsplitter_engine.errors import OutputError
from aistemsplitter_engine.pipeline import spool
from fakes import FakeRuntime
from stem_files import WORK, separator, song, tree


@pytest.fixture
def disk(mount_disk: Callable[[int], Path]) -> Path:
    """A file system of 64 MB."""
    return mount_disk(64)


@pytest.mark.parametrize("room", [0, 1 << 20])  # bytes; less than the next samples need
def test_the_next_run_resumes(
    disk: Path,
    tmp_path: Path,
    fakes: list[FakeRuntime],
    monkeypatch: pytest.MonkeyPatch,
    room: int,
) -> None:
    # Write all samples and the journal at once; otherwise the machine's speed decides when.
    monkeypatch.setattr(spool, "_IN_MEMORY", 0)
    monkeypatch.setattr(spool, "_JOURNAL_PAUSE", 0)
    filler = disk / "filler"

    def fill(fraction: float) -> None:
        if fraction > 0.7 and not filler.exists():
            free = os.statvfs(disk)
            filler.write_bytes(bytes(free.f_bavail * free.f_frsize - room))

    with pytest.raises(OutputError, match="No space left on device"):
        separator().split(song(20), disk / "out", format="flac", on_progress=fill)
    assert {path.name for path in (disk / "out").iterdir()} == {WORK}
    with pytest.raises(OutputError, match="free up space"):  # the disk is still full
        separator().split(song(20), disk / "out", format="flac", resume=True)
    filler.unlink()
    separator().split(song(20), disk / "out", format="flac", resume=True)
    resumed = fakes[-1].calls
    separator().split(song(20), tmp_path / "whole", format="flac")
    # Seven of nine segments were separated; the last of them overlaps samples that were not saved.
    assert (resumed, fakes[-1].calls) == (3, 9)
    assert tree(disk / "out") == tree(tmp_path / "whole")


def test_a_short_run_leaves_no_files(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its samples, which are in memory, do not fit either."""
    monkeypatch.setattr(spool, "_IN_MEMORY", 3600)
    filler = disk / "filler"

    def fill(_: float) -> None:
        if (disk / "out" / WORK).exists() and not filler.exists():
            free = os.statvfs(disk)
            filler.write_bytes(bytes(free.f_bavail * free.f_frsize))

    with pytest.raises(OutputError, match="No space left on device"):
        separator().split(song(20), disk / "out", format="flac", on_progress=fill)
    assert [*disk.iterdir()] == [filler]
    filler.unlink()
    separator().split(song(20), disk / "out", format="flac", resume=True)
    separator().split(song(20), tmp_path / "whole", format="flac")
    assert tree(disk / "out") == tree(tmp_path / "whole")
