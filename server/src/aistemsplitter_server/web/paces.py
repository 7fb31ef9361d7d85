"""How fast a model was lately, for honest estimates; asked anew once a minute."""

from __future__ import annotations

import time
from statistics import median

from sqlalchemy.orm import Session

from aistemsplitter_server.splits import queries

SPLITS = 20  # that an estimate is made of
AGE = 60.0  # seconds that it is kept


class Paces:
    """What one process has seen; threads may share it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, float | None]] = {}

    def of(self, session: Session, model: str) -> float | None:
        """Seconds of audio a second, the median of the newest splits; None without any."""
        until, pace = self._known.get(model, (0.0, None))
        if time.monotonic() >= until:
            seen = queries.paces(session, model, SPLITS)
            pace = median(seen) if seen else None
            self._known[model] = (time.monotonic() + AGE, pace)
        return pace
