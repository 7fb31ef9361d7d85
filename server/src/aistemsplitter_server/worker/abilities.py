"""The models that this worker can run, which it announces and which decide what it claims."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from aistemsplitter_server.models.catalogue import MODELS

logger = logging.getLogger(__name__)

PAUSES = (5.0, 30.0, 300.0)  # seconds after a model could not be loaded; the last one repeats


def installed() -> list[str]:
    """Return the models whose weights are on this machine."""
    from aistemsplitter_engine.weights.store import is_installed

    return [model.name for model in MODELS if is_installed(model.name)]


class Abilities:
    """The models that this process can run, shared by threads.

    Args:
        find: Returns the installed models.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        find: Callable[[], list[str]] = installed,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._clock = clock
        self._lock = threading.Lock()
        self._installed: list[str] = []
        self._failures: dict[str, tuple[int, float]] = {}  # how often in a row, and until when

    def refresh(self) -> None:
        """Look up which models are installed now."""
        try:
            found = self._find()
        except OSError as error:  # such as of a network folder; looked up again soon
            logger.warning("models cannot be looked up: %s", error.strerror)
            return
        with self._lock:
            if found != self._installed:
                logger.info("models: %s", ", ".join(found) or "none")
            self._installed = found

    def runnable(self) -> list[str]:
        """Return the models whose songs this worker takes now."""
        with self._lock:
            now = self._clock()
            return [name for name in self._installed if self._paused_until(name) <= now]

    def announced(self) -> list[str]:
        """Return the models to announce: all but those that are paused after repeated failures.

        After the pause a model is announced again, so that songs can arrive and try it.
        """
        with self._lock:
            now = self._clock()
            return [
                name
                for name in self._installed
                if self._failures.get(name, (0, 0.0))[0] < 2 or self._paused_until(name) <= now
            ]

    def failed(self, model: str) -> None:
        """Note that a model could not be loaded: this worker takes none of its songs for a while.

        After an installation the engine's processes may have to be restarted first. Therefore a
        model is announced until it fails again.
        """
        with self._lock:
            if self._clock() < self._paused_until(model):
                return  # songs that run at the same time count once
            times = self._failures.get(model, (0, 0.0))[0] + 1
            pause = PAUSES[min(times, len(PAUSES)) - 1]
            self._failures[model] = times, self._clock() + pause
        logger.error("%s could not be loaded; taking none of its songs for %g s", model, pause)

    def succeeded(self, model: str) -> None:
        """Note that a model was loaded."""
        with self._lock:
            self._failures.pop(model, None)

    def _paused_until(self, model: str) -> float:
        return self._failures.get(model, (0, 0.0))[1]
