"""What a person has set in the player of a split, for the next visit. Nothing here commits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.schemas import Request
from aistemsplitter_server.splits import player
from aistemsplitter_server.splits.tables import PlayerState, Split

MOST_STRIPS = 32

Frame = Annotated[float, Field(ge=0, le=2**53)]
StemName = Annotated[str, StringConstraints(max_length=64)]

_STATES = PlayerState.__table__.c
_OF = select(_STATES.state).where(
    _STATES.person_id == bindparam("person_id"), _STATES.split_id == bindparam("split_id")
)
_PUT = {
    dialect.dialect.name: (row := dialect.insert(PlayerState.__table__)).on_conflict_do_update(
        index_elements=[_STATES.person_id, _STATES.split_id],
        set_={"state": row.excluded.state},
    )
    for dialect in (sqlite, postgresql)
}


class Strip(Request):
    """The controls of one stem."""

    volume: float
    pan: float
    muted: bool
    soloed: bool


class Mix(Request):
    """The mixer."""

    strips: dict[StemName, Strip] = Field(max_length=MOST_STRIPS)
    original: bool
    volume: float


class Region(Request):
    """A part of the song, in frames."""

    start: Frame
    end: Frame


class Click(Request):
    """The click on the song's beats."""

    on: bool
    count_in: bool
    volume: Annotated[float, Field(ge=0, le=1)]
    subdivision: Annotated[int, Field(ge=1, le=4)]


class State(Request):
    """Everything that is set in the player. The player ignores what does not fit the song."""

    mix: Mix
    region: Region | None
    loops: bool
    speed: float
    semitones: float = 0  # pages from before it was added do not send it
    cents: float = 0
    click: Click | None = None
    snaps: bool = Field(False, description="whether loops begin and end on beats")
    position: Frame
    saved_at: float = Field(description="the browser's clock, in ms, to find the newest state")


def of(session: Session, person_id: str, split_id: str) -> dict[str, Any] | None:
    """Return what a person has set on a split, if anything."""
    found: dict[str, Any] | None = session.scalar(
        _OF, {"person_id": person_id, "split_id": split_id}
    )
    return found


def save(session: Session, person_id: str, split: Split, state: State) -> None:
    """Replace what a person has set on a split.

    Raises:
        Conflict: The split has not succeeded.
        NotFound: Its stems are deleted, and with them what was set before.
    """
    player.check_stems(split, times.now())
    values = {
        "person_id": person_id,
        "split_id": split.id,
        "state": state.model_dump(mode="json", by_alias=True),
    }
    session.execute(_PUT[session.get_bind().dialect.name], values)
