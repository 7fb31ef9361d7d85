"""Stems appear only when they are complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from aistemsplitter_engine import AudioArray
from aistemsplitter_engine.audio import FloatArray, StemWriter
from aistemsplitter_engine.errors import AudioError, OutputError
from aistemsplitter_engine.pipeline import spool
from aistemsplitter_engine.pipeline.write import SEPARATION_SHARE
from fakes import FakeRuntime, music, threads, use_fake
from stem_files import (
    RATE,
    STEMS,
    WORK,
    fail_in_an_encoder,
    read_all,
    separator,
    song,
    steps,
    tree,
    write_song,
)


class Watch:
    """A progress listener that lists a folder on every report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[dict[str, int]] = []
        self.fractions: list[float] = []

    def __call__(self, fraction: float) -> None:
        self.fractions.append(fraction)
        self.seen.append(
            {str(p.relative_to(self.folder)): p.stat().st_size for p in self.folder.rglob("*.*")}
        )


def test_stems_appear_when_all_are_complete(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    separator().split(song(30), tmp_path, on_progress=watch)
    assert sum(f <= SEPARATION_SHARE for f in steps(watch.fractions)) == 15
    assert all(name.startswith(WORK) for seen in watch.seen[:-1] for name in seen)
    assert watch.seen[-1].keys() == {f"{stem}.wav" for stem in STEMS}
    assert len(read_all(tmp_path)) == 4


def test_earlier_stems_are_kept_until_all_are_complete(tmp_path: Path) -> None:
    separator().split(song(10), tmp_path)
    before = tree(tmp_path)

    def check(fraction: float) -> None:
        found = {name: data for name, data in tree(tmp_path).items() if WORK not in name}
        assert (found == before) == (fraction < 1)

    separator().split(song(11), tmp_path, on_progress=check)
    after = tree(tmp_path)
    assert before.keys() == after.keys()
    assert all(after[name] != before[name] for name in before)


def test_progress_is_the_share_of_finished_segments(
    tmp_path: Path, fakes: list[FakeRuntime]
) -> None:
    """And at the end, the share of the encoded stems."""
    fractions: list[float] = []
    separator(shifts=2, seed=1).split(song(20, gain=9), tmp_path, on_progress=fractions.append)
    total = fakes[0].calls
    separating = [fraction for fraction in steps(fractions) if fraction <= SEPARATION_SHARE]
    expected = [SEPARATION_SHARE * done / total for done in range(total + 1)]
    assert separating == pytest.approx(expected)
    assert fractions == sorted(fractions)
    assert fractions[-2] < fractions[-1] == 1


def test_the_first_bytes_are_on_disk_before_a_tenth_is_separated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_IN_MEMORY", 0)  # seconds
    watch = Watch(tmp_path)

    class TenMinutes:
        name, sample_rate, channels = "ten minutes", RATE, 2

        def blocks(self) -> Iterator[FloatArray]:
            block = music(65_536 / RATE)
            for start in range(0, 600 * RATE, 65_536):
                yield block[:, : 600 * RATE - start]

    separator().split(TenMinutes(), tmp_path, stems=["vocals"], on_progress=watch)
    sizes = [seen.get(f"{WORK}/vocals.f32", 0) for seen in watch.seen]
    first = next(f for f, size in zip(watch.fractions, sizes, strict=True) if size > 0)
    assert first < 0.02
    # And the samples of all finished segments, except those that overlap the next one.
    for fraction, size in zip(watch.fractions[1:-1], sizes[1:-1], strict=True):
        separated = min(1, fraction / SEPARATION_SHARE)
        assert size / (600 * RATE * 8) == pytest.approx(separated, abs=0.01)


def fail_in_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    separate = FakeRuntime.__call__

    def fail(self: FakeRuntime, segments: FloatArray, sources: tuple[int, ...]) -> FloatArray:
        if self.calls > 3:
            raise RuntimeError("no memory left")
        return separate(self, segments, sources)

    monkeypatch.setattr(FakeRuntime, "__call__", fail)


def fail_in_the_song(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail when the song is read for the second time."""
    blocks, read = AudioArray.blocks, []

    def damaged(self: AudioArray) -> Iterator[FloatArray]:
        read.append(1)
        for number, block in enumerate(blocks(self)):
            if len(read) % 2 == 0 and number == 9:
                raise AudioError("a song: is damaged")
            yield block

    monkeypatch.setattr(AudioArray, "blocks", damaged)


def fail_in_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: StemWriter) -> None:
        self.abort()
        raise OutputError("bass.wav: cannot be written: No space left on device")

    monkeypatch.setattr(StemWriter, "close", fail)


def fail_in_the_spool(monkeypatch: pytest.MonkeyPatch) -> None:
    from aistemsplitter_engine.pipeline.spool import Spool

    append = Spool.append

    def fail(self: Spool, stems: FloatArray) -> None:
        if self.frames > 10 * RATE:
            raise OSError(28, "No space left on device")
        append(self, stems)

    monkeypatch.setattr(Spool, "append", fail)


MAY_PASS = [
    (fail_in_the_network, RuntimeError, "no memory left"),
    (fail_in_an_encoder, OutputError, r"bass\.wav: cannot be written: No space left"),
    (fail_in_closing, OutputError, "cannot be written: No space left"),
    (fail_in_the_spool, OutputError, r"b: No space left on device$"),
]
FAILURES = [*MAY_PASS, (fail_in_the_song, AudioError, "a song: is damaged")]


@pytest.mark.parametrize("gain", [1, 9])
def test_a_damaged_song_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gain: float
) -> None:
    fail_in_the_song(monkeypatch)
    with pytest.raises(AudioError, match="a song: is damaged"):
        separator().split(song(20, gain), tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    assert threads() == set()


@pytest.mark.parametrize(("fail", "error", "message"), MAY_PASS)
@pytest.mark.parametrize("gain", [1, 9])
def test_a_temporary_failure_keeps_the_samples_for_resuming(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[pytest.MonkeyPatch], None],
    error: type[Exception],
    message: str,
    gain: float,
) -> None:
    with monkeypatch.context() as patch:
        fail(patch)
        with pytest.raises(error, match=message):
            separator().split(song(20, gain), tmp_path / "a" / "b")
    assert threads() == set()
    left = {name.rpartition(".")[2] for name in tree(tmp_path)}
    assert left == {"f32", "json"}  # and no stem, which would only take space
    fakes = use_fake(monkeypatch)
    separator().split(song(20, gain), tmp_path / "a" / "b", resume=True)
    resumed = fakes[0].calls
    separator().split(song(20, gain), tmp_path / "whole")
    assert resumed < fakes[-1].calls - 2
    assert tree(tmp_path / "a" / "b") == tree(tmp_path / "whole")


def test_a_failing_encoder_stops_the_run_immediately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    class Slow(FakeRuntime):
        def __call__(self, segments: Sequence[FloatArray], sources: tuple[int, ...]) -> FloatArray:
            failed.wait(60)
            time.sleep(0.02)  # the encoder sets it before it ends
            return super().__call__(segments, sources)

    def fail(*_: object, **__: object) -> None:
        failed.set()
        raise AudioError("bass.wav: cannot be created: Permission denied")

    fakes = use_fake(monkeypatch, Slow)
    monkeypatch.setattr(StemWriter, "__init__", fail)
    with pytest.raises(AudioError, match="Permission denied"):
        separator().split(song(60), tmp_path / "out")
    assert fakes[0].calls < 10  # of 27 segments
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("fail", "error"), [failure[:2] for failure in FAILURES])
def test_a_failure_keeps_earlier_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[pytest.MonkeyPatch], None],
    error: type[Exception],
) -> None:
    separator().split(song(3), tmp_path / "b")
    (tmp_path / "empty").mkdir()
    before = tree(tmp_path)
    fail(monkeypatch)
    for folder in ("b", "empty"):
        with pytest.raises(error):
            separator().split(song(20), tmp_path / folder)
    assert {name: data for name, data in tree(tmp_path).items() if WORK not in name} == before
    assert (tmp_path / "empty").is_dir()


def test_an_unreadable_song_leaves_no_files(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.flac", music(2))
    path.write_bytes(path.read_bytes()[:-30_000])
    with pytest.raises(AudioError, match=r"song\.flac: is (truncated|damaged)"):
        separator().split(path, tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == [path]
