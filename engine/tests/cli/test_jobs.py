"""``aistemsplitter-local split --jobs``: several songs at once."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aistemsplitter_engine.cli.report import ProgressBars
from aistemsplitter_engine.cli.songs import Job
from cli_songs import lines, split, tree, write_song
from cli_stops import assert_resumes, stopped_after
from stem_files import tree as contents

if TYPE_CHECKING:
    from networks import Bag

pytestmark = pytest.mark.timeout(300)  # a hang prints its stack


@pytest.mark.usefixtures("fakes")
def test_the_stems_are_those_of_one_song_after_the_other(tmp_path: Path) -> None:
    songs = [write_song(tmp_path / f"{name}.wav", 2 + n) for n, name in enumerate("abcd")]
    (tmp_path / "broken.wav").write_text("no audio")
    songs.insert(1, tmp_path / "broken.wav")
    arguments = [*songs, "--format", "flac", "--json"]
    code, said, err = split(*arguments, "-o", tmp_path / "many", "--jobs", "3")
    assert code == 1
    assert split(*arguments, "-o", tmp_path / "one")[0] == 1
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert {(Path(line["song"]).name, line["status"]) for line in lines(said)} == {
        ("broken.wav", "failed"),
        *((f"{name}.wav", "done") for name in "abcd"),
    }
    assert err.count("broken.wav") == 2  # where it failed, and in the list at the end
    assert "1 of 5 failed" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_songs_and_saves_their_work(
    tmp_path: Path, bag: Bag, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    assert bag.paths
    songs = [write_song(tmp_path / f"{name}.wav", 30) for name in "abc"]
    out = tmp_path / "out"
    arguments = [*songs, "-o", out, "--stems", "vocals", "--jobs", "2"]
    with stopped_after(12, number):
        code, said, err = split(*arguments)
    assert (code, said) == (130, "")
    assert err == "Stopped. To continue, run the same command with --resume.\n"
    left = tree(out)
    assert "c" not in left
    assert not any(name.endswith(".wav") for name in left)
    assert_resumes(arguments, out, monkeypatch, "abc")


def test_each_song_has_a_progress_bar_until_it_ends() -> None:
    from io import StringIO

    from rich.console import Console
    from rich.progress import Progress

    display = Progress(console=Console(file=StringIO()), auto_refresh=False)
    bars = ProgressBars(display)
    one, two = (
        Job(Path("one.wav"), Path("a"), Path("a")),
        Job(Path("two.wav"), Path("b"), Path("b")),
    )
    with display:
        bars.show(one, 0.25)
        bars.show(two, 0.5)
        bars.show(one, 0.75)
        assert [(task.description, task.completed) for task in display.tasks] == [
            ("one.wav", 0.75),
            ("two.wav", 0.5),
        ]
        with bars.without(one):
            assert not display.live.is_started  # a line can be printed
        assert [task.description for task in display.tasks] == ["two.wav"]
        assert display.live.is_started
        unreported = Job(Path("three.wav"), Path("c"), Path("c"))
        with bars.without(unreported):  # it failed before its first report
            pass
