"""Tempo, key and beats of the fake service's songs, which are all the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aistemsplitter.testing._wire import Rejected

ANALYSIS = {"bpm": 120.0, "key": "F# minor", "beatsPerBar": 4, "firstDownbeat": 0.0}


def beats_of(split: Mapping[str, Any]) -> dict[str, Any]:
    """Return the beats of a split's song.

    Raises:
        Rejected: The split has not succeeded.
    """
    if split["analysis"] is None:
        raise Rejected(409, "CONFLICT", "the split has no beats")
    beats = [number / 2 for number in range(2 * split["durationSeconds"])]
    return {"bpm": 120.0, "beats": beats, "beatsPerBar": 4, "firstDownbeat": 0}
