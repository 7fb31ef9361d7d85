"""An interrupted run is resumed and gives the same samples."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from aistemsplitter_engine import AudioArray
from aistemsplitter_engine.audio import FloatArray, StemWriter
from aistemsplitter_engine.errors import Cancelled, OutputError
from aistemsplitter_engine.pipeline.write import SEPARATION_SHARE
from fakes import FakeRuntime, music, use_fake
from stem_files import (
    RATE,
    STEMS,
    WORK,
    Options,
    fail_in_an_encoder,
    read_all,
    separator,
    song,
    steps,
    stop,
    tree,
    write_song,
)


def resumed_from(fakes: list[FakeRuntime]) -> float:
    """Return the share of the 7 segments of 15 s that the last run did not recompute."""
    return 1 - fakes[-1].calls / 7


@pytest.mark.parametrize(("format", "gain"), [("wav", 1), ("wav", 9), ("flac", 9), ("mp3", 1)])
def test_a_resumed_run_gives_the_same_bits(
    tmp_path: Path, fakes: list[FakeRuntime], format: str, gain: float
) -> None:
    whole = separator().split(song(15, gain), tmp_path / "whole", format=format)
    stop(song(15, gain), tmp_path / "stopped", format=format)
    assert {p.name for p in (tmp_path / "stopped").iterdir()} == {WORK}
    fractions: list[float] = []
    result = separator().split(
        song(15, gain),
        tmp_path / "stopped",
        format=format,
        resume=True,
        on_progress=fractions.append,
    )
    assert tree(tmp_path / "stopped") == tree(tmp_path / "whole")
    assert result.gain == whole.gain
    assert fakes[0].calls == 7
    assert 0.2 < resumed_from(fakes) < 0.6
    assert steps(fractions)[:2] == pytest.approx([0, SEPARATION_SHARE * resumed_from(fakes)])
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_a_run_can_be_resumed_repeatedly(tmp_path: Path) -> None:
    separator().split(song(15), tmp_path / "whole")
    for at in (0.1, 0.4, 0.4, 0.7, SEPARATION_SHARE):
        stop(song(15), tmp_path / "out", at, resume=True)
    separator().split(song(15), tmp_path / "out", resume=True)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_resumed_run_keeps_its_shifts(tmp_path: Path, fakes: list[FakeRuntime]) -> None:
    stop(song(15), tmp_path / "out", options={"shifts": 2})
    seed = json.loads((tmp_path / "out" / WORK / "journal.json").read_text())["seed"]
    separator(shifts=2).split(song(15), tmp_path / "out", resume=True)
    calls = fakes[-1].calls
    separator(shifts=2, seed=seed).split(song(15), tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert calls < 0.8 * fakes[-1].calls


def test_separated_audio_can_be_written_with_other_options(
    tmp_path: Path, fakes: list[FakeRuntime]
) -> None:
    stop(song(15), tmp_path / "out")
    options = {"format": "flac", "bit_depth": 24, "mono": True, "sample_rate": 22_050}
    separator().split(song(15), tmp_path / "out", resume=True, **options)
    assert resumed_from(fakes) > 0.2
    separator().split(song(15), tmp_path / "whole", **options)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_song_that_was_moved_is_resumed(tmp_path: Path, fakes: list[FakeRuntime]) -> None:
    path = write_song(tmp_path / "song.wav", music(15))
    stop(path, tmp_path / "out")
    path = path.rename(tmp_path / "moved.wav")
    path.touch()
    separator().split(path, tmp_path / "out", resume=True)
    assert resumed_from(fakes) > 0.2


LATER = song(15)
LATER._array[0, 0] += 0.01


@pytest.mark.parametrize(
    ("source", "options", "export"),
    [
        (LATER, {}, {}),
        (song(14), {}, {}),
        (song(15), {"overlap": 0.3}, {}),
        (song(15), {"shifts": 1}, {}),
        (song(15), {}, {"stems": ["bass"]}),
        (song(15), {}, {"stems": STEMS[::-1]}),
    ],
)
def test_a_different_run_starts_over(
    tmp_path: Path,
    fakes: list[FakeRuntime],
    source: AudioArray,
    options: Options,
    export: Options,
) -> None:
    stop(song(15), tmp_path / "out")
    separator(**options).split(source, tmp_path / "out", resume=True, **export)
    assert resumed_from(fakes) <= 0
    separator(**options | {"seed": 0}).split(source, tmp_path / "whole", **export)
    if not options.get("shifts"):
        assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.mark.parametrize("seed", [1, None])
def test_another_seed_starts_over(
    tmp_path: Path, fakes: list[FakeRuntime], seed: int | None
) -> None:
    stop(song(15), tmp_path / "out", options={"shifts": 1, "seed": 0})
    separator(shifts=1, seed=seed).split(song(15), tmp_path / "out", resume=True)
    assert resumed_from(fakes) <= 0


def test_a_seed_without_shifts_changes_nothing(tmp_path: Path, fakes: list[FakeRuntime]) -> None:
    stop(song(15), tmp_path / "out", options={"seed": 0})
    separator(seed=1).split(song(15), tmp_path / "out", resume=True)
    assert resumed_from(fakes) > 0.2


def test_without_resume_it_starts_over(tmp_path: Path, fakes: list[FakeRuntime]) -> None:
    stop(song(15), tmp_path / "out")
    separator().split(song(15), tmp_path / "out")
    assert fakes[-1].calls == 7
    assert len(read_all(tmp_path / "out")) == 4


def test_a_stop_while_encoding(
    tmp_path: Path, fakes: list[FakeRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The separation is complete: the encoders stop, and the next run only encodes."""
    cancel = threading.Event()
    write = StemWriter.write

    def slow(self: StemWriter, block: FloatArray) -> None:
        write(self, block)
        if cancel.wait(10) and self.frames_written > 10 * RATE:
            pytest.fail("encoding continued after the stop")

    monkeypatch.setattr(StemWriter, "write", slow)

    def listen(fraction: float) -> None:
        if fraction == SEPARATION_SHARE:
            threading.Timer(0.1, cancel.set).start()

    with pytest.raises(Cancelled):
        separator().split(song(15), tmp_path / "out", cancel=cancel, on_progress=listen)
    monkeypatch.undo()
    fakes = use_fake(monkeypatch)
    fractions: list[float] = []
    separator().split(song(15), tmp_path / "out", resume=True, on_progress=fractions.append)
    assert fakes[0].calls == 0
    assert steps(fractions)[:2] == [0.0, SEPARATION_SHARE]
    assert fractions[-1] == 1
    separator().split(song(15), tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_stop_before_the_first_segment_leaves_nothing(tmp_path: Path) -> None:
    stop(song(15), tmp_path / "out", at=0)
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_may_fail(
    tmp_path: Path, fakes: list[FakeRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(song(15), tmp_path / "out")
    with monkeypatch.context() as patch:
        fail_in_an_encoder(patch)
        with pytest.raises(OutputError, match="No space left"):
            separator().split(song(15), tmp_path / "out", resume=True)
    separator().split(song(15), tmp_path / "out", resume=True)
    assert fakes[-1].calls < 7
    separator().split(song(15), tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
