"""When a worker stops: on a signal, when it has been idle, or after a number of songs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aistemsplitter_server.worker.context import WorkerContext

logger = logging.getLogger(__name__)

HANDOVER = 10.0  # seconds of the grace that are kept for handing songs over
POLL = 0.5  # seconds between two checks


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on how long a worker runs.

    Attributes:
        grace: Seconds from the signal until it has stopped, in which running songs may end. Those
            that do not are handed over to other workers. None hands all over at once.
        idle: Seconds without work after which it stops; None for never.
        songs: Songs after which it stops; None for never.
    """

    grace: float | None = None
    idle: float | None = None
    songs: int | None = None


class Leaving:
    """Decides when a worker begins nothing more, and when it stops.

    Args:
        is_idle: Returns whether nothing is in progress.
        has_no_song: Returns whether no song is in progress. Webhooks and fetches, which other
            workers continue, may be.
    """

    def __init__(
        self,
        context: WorkerContext,
        limits: Limits,
        *,
        is_idle: Callable[[], bool],
        has_no_song: Callable[[], bool],
    ) -> None:
        self._context = context
        self._limits = limits
        self._is_idle = is_idle
        self._has_no_song = has_no_song
        self._lock = threading.Lock()
        self._begun = 0

    def signalled(self) -> None:
        """Stop, after the time that running songs have; at the second call, without it."""
        context = self._context
        again = context.stopping.is_set()
        grace = 0.0 if again else max(0.0, (self._limits.grace or 0.0) - HANDOVER)
        context.grace.ends = time.monotonic() + grace
        context.stopping.set()

    def kinds(self) -> Sequence[str]:
        """Return the models whose songs this worker may begin now."""
        most = self._limits.songs
        if self._context.stopping.is_set() or (most is not None and self._begun >= most):
            return ()
        return self._context.abilities.runnable()

    def begins(self) -> None:
        """Count a song that begins."""
        with self._lock:
            self._begun += 1

    def watch(self) -> None:
        """Stop the worker once it has been idle for long enough, or has done its songs."""
        idle, songs = self._limits.idle, self._limits.songs
        last_busy = time.monotonic()
        while not self._context.stopping.wait(POLL):
            now = time.monotonic()
            if songs is not None and self._begun >= songs and self._has_no_song():
                logger.info("stopping after %d songs", self._begun)
                self.signalled()
            elif not self._is_idle():
                last_busy = now
            elif idle is not None and now - last_busy >= idle:
                logger.info("stopping after %g s without work", idle)
                self.signalled()

    def start(self) -> None:
        """Watch in a thread, if there is anything to watch for."""
        if self._limits.idle is not None or self._limits.songs is not None:
            threading.Thread(target=self.watch, name="leaving", daemon=True).start()
