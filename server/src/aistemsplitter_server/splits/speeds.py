"""Recent speeds of the models, for estimates."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import ColumnElement, and_, case, select
from sqlalchemy.orm import Session

from aistemsplitter_server.models.service import TEST_SECONDS
from aistemsplitter_server.splits.tables import SUCCEEDED, Split

MEASURED = 200  # newest splits that speeds are taken from

# Seconds of audio to separate: of a song of a test key, only the beginning.
WORK: ColumnElement[float] = case(
    (and_(Split.is_test, Split.duration_seconds > TEST_SECONDS), float(TEST_SECONDS)),
    else_=Split.duration_seconds,
)


def recent(session: Session) -> dict[str, float]:
    """Return the seconds of audio separated per second by a worker, for each recent model."""
    query = (
        select(Split.served_by, WORK, Split.started_at, Split.finished_at)
        .where(Split.status == SUCCEEDED, Split.finished_at.is_not(None))  # as in the index
        .where(Split.options.is_(None))  # some take several times as long
        .order_by(Split.finished_at.desc())
        .limit(MEASURED)
    )
    audio: dict[str, float] = defaultdict(float)
    spent: dict[str, float] = defaultdict(float)
    for model, seconds, started, finished in session.execute(query):
        if started is not None and finished is not None:
            audio[model] += seconds
            spent[model] += (finished - started).total_seconds()
    return {model: audio[model] / spent[model] for model in audio if spent[model] > 0}
