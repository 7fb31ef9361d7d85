"""Tempo, key and beats of a split."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.splits import analysis
from aistemsplitter_server.splits.analysis import Detected, Grid
from aistemsplitter_server.splits.tables import Split


def grid(**fields: Any) -> Grid:
    whole = {"beats": [300, 801, 1300, 1801, 2300], "beatsPerBar": 4, "firstDownbeat": 1}
    return Grid.model_validate(whole | fields)


def test_what_was_found_and_corrected() -> None:
    split = Split()
    assert analysis.shown(split) is None
    analysis.store(split, Detected(key="F# minor", grid=grid()))
    shown = analysis.shown(split)
    assert shown is not None
    assert shown.model_dump() == {
        "bpm": 120.0,
        "key": "F# minor",
        "beats_per_bar": 4,
        "first_downbeat": 0.801,
    }
    assert analysis.beat_grid(split).beats == [0.3, 0.801, 1.3, 1.801, 2.3]
    analysis.set_grid(split, grid(beats=[300, 1300, 2300], beatsPerBar=2, firstDownbeat=0))
    corrected = analysis.shown(split)
    assert corrected is not None
    assert (corrected.bpm, corrected.key, corrected.beats_per_bar) == (60.0, "F# minor", 2)


def test_a_song_without_a_pulse() -> None:
    split = Split()
    analysis.store(split, Detected(key=None, grid=None))
    shown = analysis.shown(split)
    assert shown is not None
    assert (shown.bpm, shown.key) == (None, None)
    with pytest.raises(Conflict):
        analysis.beat_grid(split)


@pytest.mark.parametrize(
    "fields",
    [
        {"beats": [100]},
        {"beats": [100, 100, 200]},
        {"beats": [200, 100]},
        {"beats": [-1, 100]},
        {"beats": [0.5, 100]},
        {"beats": [0, 10**9]},
        {"beats": [*range(analysis.MOST_BEATS + 1)]},
        {"beatsPerBar": 0},
        {"firstDownbeat": 4},
    ],
    ids=["one", "equal", "down", "negative", "fraction", "late", "many", "no-bar", "second-bar"],
)
def test_invalid_beats(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        grid(**fields)


def test_the_tempo_of_uneven_beats() -> None:
    """The mean of two distances may be far from both."""
    uneven = grid(beats=[0, 100, 1100], beatsPerBar=1, firstDownbeat=0)
    assert uneven.bpm == 600
