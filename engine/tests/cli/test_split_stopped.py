"""``aistemsplitter-local split``, stopped by a signal between two segments."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aistemsplitter_engine.cli.split import _stoppable
from cli_songs import split, write_song
from cli_stops import assert_resumes, deliver, stopped_after

if TYPE_CHECKING:
    from networks import Bag

pytestmark = pytest.mark.timeout(300)  # a hang prints its stack


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_stop_between_two_segments_saves_the_run(
    tmp_path: Path, bag: Bag, monkeypatch: pytest.MonkeyPatch, number: int, as_json: bool
) -> None:
    assert bag.paths
    before = signal.getsignal(number)
    songs = [write_song(tmp_path / f"{name}.wav", 20) for name in "ab"]
    out = tmp_path / "out"
    arguments = [*songs, "-o", out, "--stems", "vocals"]
    with stopped_after(5, number):
        code, said, err = split(*arguments, *["--json"] * as_json)
    assert code == 130
    assert err == "Stopped. To continue, run the same command with --resume.\n"
    assert said == ('{"song": null, "status": "stopped"}\n' if as_json else "")
    assert signal.getsignal(number) is before
    assert [path.name for path in out.iterdir()] == ["a"]
    assert_resumes(arguments, out, monkeypatch, "ab")


def test_the_second_signal_ends_the_process_at_once() -> None:
    with _stoppable() as stop:
        deliver(signal.SIGTERM)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            deliver(signal.SIGINT)
