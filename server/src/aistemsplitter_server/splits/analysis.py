"""Tempo, key and beats of a split's song, as found or as a person has corrected them."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean, median_low
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.kit.schemas import Request, Response, example
from aistemsplitter_server.splits.tables import Split

MOST_BEATS = 20_000
LONGEST = 24 * 3600 * 1000  # ms
KEY = r"^([A-G]|[DEGAB]b|F#) (major|minor)$"

Key = Annotated[str, Field(pattern=KEY)]
Beat = Annotated[int, Field(ge=0, le=LONGEST)]


class Grid(Request):
    """The beats of a song."""

    beats: list[Beat] = Field(min_length=2, max_length=MOST_BEATS, description="in ms, ascending")
    beats_per_bar: int = Field(ge=1, le=12)
    first_downbeat: int = Field(ge=0, description="index of the first beat of a bar")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(after <= before for before, after in pairwise(self.beats)):
            raise ValueError("beats must ascend")
        if self.first_downbeat >= min(self.beats_per_bar, len(self.beats)):
            raise ValueError("first_downbeat must be in the first bar")
        return self

    @property
    def bpm(self) -> float:
        """Return the tempo."""
        return round(60_000 / self._beat, 2)

    @property
    def _beat(self) -> float:
        """Return the ms of a beat: the mean, since single beats are rounded."""
        distances = [after - before for before, after in pairwise(self.beats)]
        usual = median_low(distances)
        return fmean(each for each in distances if abs(each - usual) <= 0.1 * usual)


class Detected(Request):
    """Key and beats that a worker found in a song."""

    key: Key | None
    grid: Grid | None


class Analysis(Response):
    """The tempo and the key of a song."""

    bpm: float | None = Field(description="beats per minute; null without a steady pulse")
    key: str | None = Field(description="null if the song has none", examples=["F# minor"])
    beats_per_bar: int | None
    first_downbeat: float | None = Field(description="seconds to the first beat of a bar")


class BeatGrid(Response):
    """All beats of a song."""

    model_config = ConfigDict(
        json_schema_extra=example(
            bpm=120.0, beats=[0.31, 0.81, 1.31, 1.81, 2.31], beatsPerBar=4, firstDownbeat=0
        )
    )

    bpm: float
    beats: list[float] = Field(description="in seconds")
    beats_per_bar: int
    first_downbeat: int = Field(description="index of the first beat of a bar")


def store(split: Split, detected: Detected) -> None:
    """Store what was found in a split's song."""
    split.analysis = {"key": detected.key}
    set_grid(split, detected.grid)


def set_grid(split: Split, grid: Grid | None) -> None:
    """Store the beats of a split's song, and the tempo that follows from them."""
    split.grid = None if grid is None else grid.model_dump(mode="json", by_alias=True)
    found = {"key": (split.analysis or {}).get("key")}
    if grid is not None:
        found |= {
            "bpm": grid.bpm,
            "beats_per_bar": grid.beats_per_bar,
            "first_downbeat": grid.beats[grid.first_downbeat] / 1000,
        }
    split.analysis = found


def shown(split: Split) -> Analysis | None:
    """Return the tempo and key; None if the song was not analysed."""
    found = split.analysis
    if found is None:
        return None
    return Analysis(
        bpm=found.get("bpm"),
        key=found.get("key"),
        beats_per_bar=found.get("beats_per_bar"),
        first_downbeat=found.get("first_downbeat"),
    )


def grid(split: Split) -> Grid | None:
    """Return the beats of a split that a session holds; None if there are none."""
    return None if split.grid is None else Grid.model_validate(split.grid)


def beat_grid(split: Split) -> BeatGrid:
    """Return the beats as the API shows them.

    Raises:
        Conflict: There are none.
    """
    found = grid(split)
    if found is None:
        raise Conflict("The split has no beats: its song was not analysed, or has no steady pulse.")
    return BeatGrid(
        bpm=found.bpm,
        beats=[beat / 1000 for beat in found.beats],
        beats_per_bar=found.beats_per_bar,
        first_downbeat=found.first_downbeat,
    )
