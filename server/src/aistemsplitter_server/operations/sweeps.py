"""The state of the sweeps that delete expired rows and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.retention import failures, overdue, runs
from aistemsplitter_server.retention.tables import SweepFailure

SHOWN = 20  # items that cannot be deleted


@dataclass(frozen=True, slots=True)
class SweepState:
    """One sweep: its last run, what it has deleted so far, and what it could not delete.

    Attributes:
        stuck: The number of items that cannot be deleted now.
        overdue: The number of expired rows that still exist.
        error: Why its last run ended early.
    """

    name: str
    ran_at: datetime
    deleted: int
    stuck: int
    overdue: int
    error: str | None

    @property
    def is_well(self) -> bool:
        """Whether nothing is stuck, overdue or failing."""
        return not (self.stuck or self.overdue or self.error)


@dataclass(frozen=True, slots=True)
class Sweeps:
    """All sweeps, and the newest items that could not be deleted."""

    states: Sequence[SweepState]
    stuck: Sequence[SweepFailure]


def states(session: Session, settings: Settings, now: datetime) -> Sweeps:
    """Return the state of all sweeps."""
    expired = overdue.counts(session.connection(), settings, now)
    stuck = failures.counts(session)
    states = [
        SweepState(
            each.name,
            each.ran_at,
            each.deleted,
            stuck.get(each.name, 0),
            expired.get(each.name, 0),
            each.error,
        )
        for each in runs.all_of(session)
    ]
    return Sweeps(states, failures.newest(session, SHOWN))
