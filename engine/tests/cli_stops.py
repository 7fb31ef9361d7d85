"""A run of the command that a signal stops between two segments, and its continuation."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from aistemsplitter_engine.audio import FloatArray
from aistemsplitter_engine.cli.records import RECORD
from cli_songs import split, tree
from fakes import FakeRuntime, use_fake


def deliver(number: int) -> None:
    """Call the signal's handler.

    A real signal could crash this process: it may have had several of OpenVINO's cores, which leave
    a freed signal stack unless they are destroyed in the order of their creation.
    """
    handler = signal.getsignal(number)
    assert callable(handler)
    handler(number, None)


@contextmanager
def stopped_after(calls: int, number: int) -> Iterator[None]:
    """Use a fake network that delivers a signal when it has separated this many segments."""
    estimate = FakeRuntime._estimate
    separated = itertools.count(1)  # threads share it, so a comparison of calls could miss one

    def stop(self: FakeRuntime, segments: FloatArray, source: int) -> FloatArray:
        if next(separated) == calls:
            deliver(number)
        return estimate(self, segments, source)

    with pytest.MonkeyPatch.context() as monkeypatch:
        use_fake(monkeypatch)
        monkeypatch.setattr(FakeRuntime, "_estimate", stop)
        yield


def assert_resumes(
    arguments: Sequence[str | Path], out: Path, monkeypatch: pytest.MonkeyPatch, songs: str
) -> None:
    """Check that the run is completed by ``--resume``, with less work than a run from the start."""
    fakes = use_fake(monkeypatch)
    assert split(*arguments, "--resume")[0] == 0
    calls = fakes[0].calls
    assert split(*arguments, "--overwrite")[0] == 0
    assert calls < fakes[-1].calls
    assert tree(out) == {
        f"{song}{file}" for song in songs for file in ("", "/vocals.wav", f"/{RECORD}")
    }
