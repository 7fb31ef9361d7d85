"""Dispatchers, each of which runs the due rows of one table in threads of this process.

The table is the queue. A due row is started if its account, host and URL have room. Its job claims
it in a transaction that postpones its due time, so that no other process starts it too, and it
becomes due again if this process dies. Accounts take turns: however many rows one account has,
another waits for one of them at most. The last place, and the last one to each host, is only for an
account without any, so that slow hosts of a few accounts do not block all others. Polling only
reads.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, zip_longest
from typing import Protocol
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from aistemsplitter_server.kit.database import AWAY, clock
from aistemsplitter_server.kit.round_robin import Waiting
from aistemsplitter_server.worker.context import PAUSE, WorkerContext

logger = logging.getLogger(__name__)

POLL = 0.5  # seconds between two polls of an idle dispatcher
RENEWAL = 10.0  # seconds between two renewals of the claimed rows
SCAN = 500  # accounts that one poll reads; the next poll continues from there
LOOKAHEAD = 20  # due rows of an account that are read in addition, since some may have no room


@dataclass(frozen=True, slots=True)
class Item:
    """A due row, and the URL that its job connects to, if any."""

    id: str
    account_id: str
    url: str = ""

    @property
    def host(self) -> str:
        """The URL's host and port."""
        try:
            return urlsplit(self.url).netloc.lower()
        except ValueError:  # the job will fail with a reason
            return self.url


@dataclass(frozen=True, slots=True)
class Limits:
    """Most concurrent jobs of this process: in all, to one host, and of an account to one URL."""

    total: int
    host: int = sys.maxsize
    url: int = sys.maxsize


class Table(Protocol):
    """A table whose rows have a due time."""

    limits: Limits
    needs_disk: bool  # whether its jobs wait while this machine lacks something

    def account_limit(self, session: Session, account_id: str) -> int:
        """Return how many jobs of an account this process may run at the same time."""

    def accounts(self, session: Session, now: datetime, after: str, limit: int) -> list[Waiting]:
        """Return accounts with rows that have a due time, in the order of their ids."""

    def due(
        self,
        session: Session,
        now: datetime,
        account_id: str,
        *,
        running: Sequence[Item],
        limit: int,
    ) -> Sequence[Item]:
        """Return an account's due rows, the earliest first.

        Args:
            running: The account's rows in progress, which are left out, and so may rows be whose
                URL is at its limit.
        """

    def run(self, context: WorkerContext, item_id: str) -> None:
        """Claim a row and do its work."""

    def renew(self, context: WorkerContext, item_ids: Sequence[str]) -> None:
        """Renew the claims on rows in progress."""


class Dispatcher:
    """Runs a table's due rows until the worker stops."""

    def __init__(self, context: WorkerContext, table: Table) -> None:
        self._context = context
        self._table = table
        self._running: dict[str, Item] = {}  # by id; only the dispatching thread adds to it
        self._changed = threading.Condition()
        self._has_room_again = False
        self._is_started = False  # the dispatching thread has not ended
        self._last = ""  # the account that was served last

    def start(self) -> None:
        """Start to dispatch, in a thread."""
        self._is_started = True
        threading.Thread(target=self._run_forever, name="dispatcher", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait until no job is in progress; return False after the timeout.

        Once the worker stops, also wait for the dispatching thread, which could still start one.
        """
        with self._changed:
            return self._changed.wait_for(self._is_idle, seconds)

    def dispatch(self) -> int:
        """Start the due rows for which there is room; return how many."""
        if self._table.needs_disk and self._context.shortages.is_paused():
            return 0
        free = self._table.limits.total - len(self._in_progress())
        if free <= 0:
            return 0
        with self._context.database.read() as session:
            offers = list(self._offers(session, clock(session), free))
        started = 0
        for item in chain(*zip_longest(*offers)):  # the first of each account, then the second
            if item is not None and self._has_room(item):
                self._start(item)
                started += 1
        return started

    def _offers(self, session: Session, now: datetime, free: int) -> Iterator[Sequence[Item]]:
        """Yield rows to start, by account, for as many accounts as there are free places."""
        offered = 0
        for account_id in self._in_turn(session, now):
            running = [item for item in self._in_progress() if item.account_id == account_id]
            room = self._table.account_limit(session, account_id) - len(running)
            if room <= 0:
                continue
            found = self._table.due(
                session, now, account_id, running=running, limit=room + LOOKAHEAD
            )
            can_start = [item for item in found if self._has_room(item)][:room]
            if can_start:
                yield can_start
                self._last = account_id
                offered += 1
                if offered == free:
                    return

    def _in_turn(self, session: Session, now: datetime) -> Iterator[str]:
        """Yield accounts with due rows: those after the last one served, then the others."""
        last = self._last
        later = self._table.accounts(session, now, last, SCAN)
        yield from (account.account_id for account in later if account.is_due)
        if len(later) == SCAN:
            self._last = later[-1].account_id
            return
        for account in self._table.accounts(session, now, "", SCAN):
            if account.account_id > last:
                return
            if account.is_due:
                yield account.account_id

    def _is_idle(self) -> bool:
        ending = self._is_started and self._context.stopping.is_set()
        return not self._running and not ending

    def _in_progress(self) -> list[Item]:
        with self._changed:
            return list(self._running.values())

    def _has_room(self, item: Item) -> bool:
        limits, others = self._table.limits, self._in_progress()
        of_account = [other for other in others if other.account_id == item.account_id]
        to_host = sum(other.host == item.host for other in others)
        holds_host = any(other.host == item.host for other in of_account)
        return (
            len(others) + bool(of_account) < limits.total
            and to_host + holds_host < limits.host
            and sum(other.url == item.url for other in of_account) < limits.url
        )

    def _start(self, item: Item) -> None:
        with self._changed:
            self._running[item.id] = item
        threading.Thread(target=self._run, args=(item,), name=item.id, daemon=True).start()

    def _run(self, item: Item) -> None:
        try:
            self._table.run(self._context, item.id)
        except AWAY as error:  # it becomes due again when its claim expires
            logger.warning("%s: the database cannot be used (%s)", item.id, type(error).__name__)
        except Exception:
            logger.exception("%s failed", item.id)
        finally:
            with self._changed:
                del self._running[item.id]
                self._has_room_again = True
                self._changed.notify_all()

    def _run_forever(self) -> None:
        """Dispatch until the worker stops, and renew claims until the last job has ended."""
        stopping = self._context.stopping
        renewed = time.monotonic()
        while not stopping.is_set() or self._in_progress():
            pause = POLL
            try:
                if not stopping.is_set():
                    self.dispatch()
                if time.monotonic() - renewed >= RENEWAL:
                    renewed = time.monotonic()
                    if running := self._in_progress():
                        self._table.renew(self._context, [item.id for item in running])
            except AWAY as error:
                logger.warning("dispatching is waiting for the database: %s", type(error).__name__)
                pause = PAUSE
            except Exception:
                logger.exception("dispatching failed")
                pause = PAUSE
            with self._changed:
                self._changed.wait_for(lambda: self._has_room_again, pause)
                self._has_room_again = False
        with self._changed:
            self._is_started = False
            self._changed.notify_all()
