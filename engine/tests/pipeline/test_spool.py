"""The spool, in memory and on disk: appending, following, failing and resuming."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine.audio import BLOCK_FRAMES
from aistemsplitter_engine.errors import AudioError, Cancelled, OutputError
from aistemsplitter_engine.pipeline import memory
from aistemsplitter_engine.pipeline import spool as spool_module
from aistemsplitter_engine.pipeline.memory import FRAME_BYTES, Budget
from aistemsplitter_engine.pipeline.spool import Spool, copy_unfinished

STEMS = ("drums", "vocals")
RUN = {"song": {"frames": 1000}, "stems": STEMS, "overlap": 0.25}


@pytest.fixture(autouse=True, params=["memory", "disk"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test of this module with both kinds of spools."""
    monkeypatch.setattr(spool_module, "_IN_MEMORY", 3600 if request.param == "memory" else 0)
    return str(request.param)


on_disk = pytest.mark.parametrize("place", ["disk"], indirect=True)


def samples(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, 2, frames)).astype(np.float32)


def open_spool(folder: Path, *, resume: bool = False, run: object = RUN, seed: int = 7) -> Spool:
    return Spool(folder, STEMS, run, seed, resume=resume)


def read(spool: Spool, stem: str) -> np.ndarray:
    """Return all samples of a spool that has ended."""
    return np.concatenate([np.zeros((2, 0), np.float32), *spool.follow(stem)], axis=1)


def end_with(error: type[BaseException], folder: Path, *blocks: np.ndarray) -> None:
    """End a run by an error after some blocks."""
    with open_spool(folder) as spool:
        for block in blocks:
            spool.append(block)
        (spool.folder / "drums.wav").touch()  # of an encoder that was killed
        raise error


def leave_behind(folder: Path, audio: np.ndarray) -> None:
    with pytest.raises(Cancelled):
        end_with(Cancelled, folder, audio)


def test_appended_samples_are_read_back(tmp_path: Path) -> None:
    audio = samples(150_000)
    with open_spool(tmp_path / "work") as spool:
        for part in np.split(audio, [1, 100, 90_000], axis=2):
            spool.append(part)
        spool.end()
        assert spool.frames == 150_000
        assert np.array_equal(read(spool, "drums"), audio[0])
        assert np.array_equal(read(spool, "vocals"), audio[1])
        assert np.array_equal(read(spool, "vocals"), audio[1])  # repeatable
    assert list(tmp_path.iterdir()) == []


def test_followers_read_appended_samples(tmp_path: Path) -> None:
    """Once they were notified; before, they get an empty block."""
    audio = samples(2000)
    with open_spool(tmp_path / "work") as spool:
        follower, changes = spool.follow("vocals"), []
        spool.on_change.append(lambda: changes.append(spool.frames))
        for part in np.split(audio, 4, axis=2):
            assert next(follower).shape == (2, 0)
            spool.append(part)
            assert np.array_equal(next(follower), part[1])
        assert next(follower).shape == (2, 0)
        spool.end()
        assert next(follower, None) is None
        assert changes == [500, 1000, 1500, 2000, 2000]


@on_disk
def test_samples_are_on_disk_as_soon_as_they_are_added(tmp_path: Path) -> None:
    with open_spool(tmp_path) as spool:
        spool.append(samples(123))
        sizes = {p.name: p.stat().st_size for p in tmp_path.glob("*.f32")}
        assert sizes == {"drums.f32": 123 * FRAME_BYTES, "vocals.f32": 123 * FRAME_BYTES}
        assert json.loads((tmp_path / "journal.json").read_text())["frames"] == 123


@pytest.mark.parametrize("read_before", [1, 4])
def test_followers_end_when_the_run_fails(tmp_path: Path, read_before: int) -> None:
    """Both those that wait for samples and those that still have samples to read."""
    with open_spool(tmp_path / "work") as spool:
        spool.append(samples(3 * BLOCK_FRAMES))
        follower = spool.follow("drums")
        for _ in range(read_before):
            next(follower)
        spool.end(failed=True)
        with pytest.raises(Cancelled):
            next(follower)


def test_a_permanent_failure_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(AudioError):
        end_with(AudioError, tmp_path / "work", samples(10))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [Cancelled, KeyboardInterrupt, OutputError, OSError, MemoryError, RuntimeError]
)
def test_a_temporary_failure_keeps_the_samples(tmp_path: Path, error: type[BaseException]) -> None:
    audio = samples(300)
    with pytest.raises(error):
        end_with(error, tmp_path / "work", audio[:, :, :100], audio[:, :, 100:])
    with open_spool(tmp_path / "work", resume=True, seed=99) as spool:
        assert (spool.frames, spool.seed) == (
            300,
            7,
        )  # including samples that were not in the journal yet
        assert {p.name for p in spool.folder.iterdir()} == {"drums.f32", "vocals.f32"}
        spool.append(samples(50, 1))
        spool.end()
        assert np.array_equal(read(spool, "vocals")[:, :300], audio[1])
        assert read(spool, "vocals").shape[1] == 350


def test_a_stop_before_the_first_sample_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        end_with(Cancelled, tmp_path / "work")
    assert list(tmp_path.iterdir()) == []


def test_a_kill_within_a_block_loses_that_block(tmp_path: Path) -> None:
    audio = samples(100)
    leave_behind(tmp_path, audio)
    with (tmp_path / "drums.f32").open("ab") as file:
        file.write(b"half a block")
    (tmp_path / "journal.json.part").write_text("{")
    with open_spool(tmp_path, resume=True) as spool:
        assert spool.frames == 100
        spool.append(samples(1, 1))
        spool.end()
        assert np.array_equal(read(spool, "drums")[:, :100], audio[0])
        assert read(spool, "drums")[:, 100:] == pytest.approx(samples(1, 1)[0])


def test_without_resume_old_samples_are_deleted(tmp_path: Path) -> None:
    leave_behind(tmp_path, samples(100))
    with open_spool(tmp_path, seed=8) as spool:
        assert (spool.frames, spool.seed) == (0, 8)
        assert all(path.stat().st_size == 0 for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "journal.json").unlink(),
        lambda folder: (folder / "journal.json").write_text(""),
        lambda folder: (folder / "journal.json").write_text("[1]"),
        lambda folder: (folder / "journal.json").write_text('{"frames": null}'),
        lambda folder: (folder / "journal.json").write_bytes(b"\xff\xfe\0"),
        lambda folder: (folder / "drums.f32").unlink(),
        lambda folder: os.truncate(folder / "drums.f32", 100 * FRAME_BYTES - 1),
    ],
)
def test_an_inconsistent_spool_is_not_resumed(tmp_path: Path, damage: object) -> None:
    leave_behind(tmp_path, samples(100))
    damage(tmp_path)
    with open_spool(tmp_path, resume=True, seed=8) as spool:
        assert (spool.frames, spool.seed) == (0, 8)


@pytest.mark.parametrize(
    "run", [{**RUN, "overlap": 0.5}, {**RUN, "song": {"frames": 1001}}, {}, {**RUN, "new": None}]
)
def test_a_different_run_starts_over(tmp_path: Path, run: object) -> None:
    leave_behind(tmp_path, samples(100))
    with open_spool(tmp_path, resume=True, run=run) as spool:
        assert spool.frames == 0


def test_other_stems_start_over(tmp_path: Path) -> None:
    leave_behind(tmp_path, samples(100))
    with Spool(tmp_path, ("bass",), RUN, 7, resume=True) as spool:
        assert spool.frames == 0
        assert {path.name for path in tmp_path.iterdir()} <= {"bass.f32"}


def test_a_failure_after_the_end_cancels_readers(tmp_path: Path) -> None:
    with open_spool(tmp_path / "work") as spool:
        spool.append(samples(10))
        spool.end()
        assert read(spool, "drums").shape == (2, 10)
        spool.end(failed=True)  # encoding for a second time may fail
        with pytest.raises(Cancelled):
            read(spool, "drums")


@on_disk
def test_a_copy_is_resumed_while_the_first_run_continues(tmp_path: Path) -> None:
    audio = samples(3000)
    with open_spool(tmp_path / "first", seed=9) as first:
        first.append(audio[..., :1000])
        copy_unfinished(tmp_path / "first", tmp_path / "second")
        with open_spool(tmp_path / "second", resume=True) as second:
            assert (second.frames, second.seed) == (1000, 9)
            first.append(audio[..., 1000:2000])
            second.append(audio[..., 1000:])
            second.end()
            assert np.array_equal(read(second, "vocals"), audio[1])
        first.append(audio[..., 2000:])
        first.end()
        assert np.array_equal(read(first, "vocals"), audio[1])


def test_a_run_without_a_journal_cannot_be_copied(tmp_path: Path) -> None:
    with open_spool(tmp_path / "first"), pytest.raises(FileNotFoundError):
        copy_unfinished(tmp_path / "first", tmp_path / "second")
    with open_spool(tmp_path / "second", resume=True) as second:
        assert second.frames == 0


def test_a_short_run_writes_nothing(tmp_path: Path, place: str) -> None:
    with open_spool(tmp_path) as spool:
        spool.append(samples(100))
        spool.end()
        assert any(tmp_path.iterdir()) == (place == "disk")
        assert Budget._taken == (0 if place == "disk" else samples(100).nbytes)
    assert Budget._taken == 0


@pytest.mark.parametrize("reason", ["time", "memory"])
@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_a_longer_run_moves_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """Those that read it continue there, and a kill loses nothing of it."""
    audio = samples(1000)
    if reason == "memory":
        monkeypatch.setattr(memory, "free_memory", lambda: 4 * audio[..., :500].nbytes)
    with open_spool(tmp_path) as spool:
        spool.append(audio[..., :400])
        early = spool.follow("drums")
        first = next(early)
        assert [*tmp_path.iterdir()] == []
        if reason == "time":
            monkeypatch.setattr(spool, "_move_due", 0)
        spool.append(audio[..., 400:600])
        assert json.loads((tmp_path / "journal.json").read_text())["frames"] == 600
        assert Budget._taken == 0
        spool.append(audio[..., 600:])
        spool.end()
        assert np.array_equal(np.concatenate([first, *early], axis=1), audio[0])
        assert np.array_equal(read(spool, "vocals"), audio[1])


@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_a_run_that_fails_on_a_full_disk_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "_write_journal", full)
    with pytest.raises(OutputError):
        end_with(OutputError, tmp_path / "work", samples(100))
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_a_move_to_disk_that_failed_is_repeated_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may have room again by then."""
    audio, write = samples(300), Spool._write
    written: list[int] = []

    def full_once(self: Spool, stems: np.ndarray) -> None:
        write(self, stems)
        written.append(stems.shape[2])
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    def fail() -> None:
        with open_spool(tmp_path / "work") as spool:
            spool.append(audio[..., :100])
            spool.append(audio[..., 100:200])
            monkeypatch.setattr(spool, "_move_due", 0)
            spool.append(audio[..., 200:])

    monkeypatch.setattr(Spool, "_write", full_once)
    with pytest.raises(OSError, match="No space left"):
        fail()
    with open_spool(tmp_path / "work", resume=True) as spool:
        assert spool.frames == 200
        spool.append(audio[..., 200:])
        spool.end()
        assert np.array_equal(read(spool, "drums"), audio[0])
        assert np.array_equal(read(spool, "vocals"), audio[1])
