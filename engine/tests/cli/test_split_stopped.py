"""``aistemsplitter-local split``, stopped by a signal between two segments."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aistemsplitter_engine.audio import FloatArray
from aistemsplitter_engine.cli.records import RECORD
from aistemsplitter_engine.cli.split import _stoppable
from cli_songs import split, tree, write_song
from fakes import FakeRuntime, use_fake

if TYPE_CHECKING:
    from networks import Bag

pytestmark = pytest.mark.timeout(300)  # a hang prints its stack


def deliver(number: int) -> None:
    """Call the signal's handler.

    A real signal could crash this process: it may have had several of OpenVINO's cores, which leave
    a freed signal stack unless they are destroyed in the order of their creation.
    """
    handler = signal.getsignal(number)
    assert callable(handler)
    handler(number, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_stop_between_two_segments_saves_the_run(
    tmp_path: Path, bag: Bag, monkeypatch: pytest.MonkeyPatch, number: int, as_json: bool
) -> None:
    estimate = FakeRuntime._estimate

    def stop(self: FakeRuntime, segments: FloatArray, source: int) -> FloatArray:
        if self.calls == 5:
            deliver(number)
        return estimate(self, segments, source)

    use_fake(monkeypatch)
    monkeypatch.setattr(FakeRuntime, "_estimate", stop)
    before = signal.getsignal(number)
    songs = [write_song(tmp_path / f"{name}.wav", 20) for name in "ab"]
    assert bag.paths
    arguments = [*songs, "-o", tmp_path / "out", "--stems", "vocals"]
    code, said, err = split(*arguments, *["--json"] * as_json)
    assert code == 130
    assert err == "Stopped. To continue, run the same command with --resume.\n"
    assert said == ('{"song": null, "status": "stopped"}\n' if as_json else "")
    assert signal.getsignal(number) is before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    monkeypatch.setattr(FakeRuntime, "_estimate", estimate)
    fakes = use_fake(monkeypatch)
    assert split(*arguments, "--resume")[0] == 0
    calls = fakes[0].calls
    assert split(*arguments, "--overwrite")[0] == 0
    assert calls < fakes[-1].calls
    assert tree(tmp_path / "out") == {
        f"{song}{file}" for song in "ab" for file in ("", "/vocals.wav", f"/{RECORD}")
    }


def test_the_second_signal_ends_the_process_at_once() -> None:
    with _stoppable() as stop:
        deliver(signal.SIGTERM)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            deliver(signal.SIGINT)
