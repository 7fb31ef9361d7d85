"""Measuring uploads once their bytes are whole. Requests that need the duration wait for it.

This process measures what it has received. Of other uploads it never sees the bytes, so workers
measure those.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from concurrent.futures import Future
from typing import Self

from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict, Unavailable, ValidationFailed
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.uploads import direct, service
from aistemsplitter_server.uploads.measured import measure
from aistemsplitter_server.uploads.tables import Upload

logger = logging.getLogger(__name__)

# Measurements at a time in one process, in threads of their own. The last free place is only for
# an account without any, so that the slow files of two accounts do not block all others.
CONCURRENT = 4
CONCURRENT_PER_ACCOUNT = 2
TIMEOUT = 20.0  # seconds that a request waits for a measurement
# Seconds between two looks whether a worker has finished: the first pause, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0


class UnusableUpload(ValidationFailed):
    """An upload is not audio that can be split.

    Attributes:
        reason: The code of the failure, such as ``UNSUPPORTED_MEDIA``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__([("input.uploadId", message)])
        self.reason = reason

    @classmethod
    def example(cls) -> Self:
        """See ``ApiError``."""
        return cls("UNSUPPORTED_MEDIA", "song.mp3: not an audio file")


class Measurements:
    """The measurements of one process. Accounts take turns.

    Another process may measure the same upload, with the same result.
    """

    def __init__(self, settings: Settings, database: Database, storage: Storage) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._lock = threading.Lock()  # guards all below
        self._results: dict[str, Future[bool]] = {}  # by upload id, until measured
        self._waiting: dict[str, deque[Upload]] = {}  # by account, oldest first
        self._running = Counter[str]()  # by account

    def are_done(self, upload: Upload) -> bool:
        """Return whether an upload is measured.

        Raises:
            Conflict: Its bytes have not arrived. Of a direct upload, ``wait`` finds that out.
            UnusableUpload: It is not audio that can be split.
        """
        if upload.stored_at is None:
            if upload.direct_until is None:
                raise Conflict(service.not_arrived(upload))
            return False
        if upload.fault_message is not None:
            raise UnusableUpload(upload.fault_code or "UNSUPPORTED_MEDIA", upload.fault_message)
        return upload.measured_at is not None

    async def wait(self, upload: Upload) -> bool:
        """Measure an upload, or wait for the measurement in progress, without blocking a thread.

        Returns:
            False after a timeout; the measurement continues.

        Raises:
            Conflict: It is a direct upload whose bytes have not arrived.
            NotFound: The upload was deleted.
            Unavailable: It cannot be measured now.
        """
        if upload.direct_until is not None or upload.measure_at is not None:
            return await self._by_worker(upload)
        measured = asyncio.wrap_future(self._begin(upload))
        await asyncio.wait([measured], timeout=TIMEOUT)
        if not measured.done():
            return False
        if not measured.result():
            raise Unavailable("The upload cannot be measured now.")
        return True

    async def _by_worker(self, upload: Upload) -> bool:
        """Queue an upload for the workers and wait; return False after a timeout."""
        await run_in_threadpool(
            direct.confirm, self._database, self._settings, self._storage, upload
        )
        pause, ends = FIRST_PAUSE, time.monotonic() + TIMEOUT
        while time.monotonic() < ends:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if await run_in_threadpool(self._is_measured, upload.id):
                return True
        return False

    def _is_measured(self, upload_id: str) -> bool:
        """Return whether an upload is measured, or was deleted."""
        with self._database.read() as session:
            upload = session.get(Upload, upload_id)
        return upload is None or upload.deleted_at is not None or upload.measured_at is not None

    def _begin(self, upload: Upload) -> Future[bool]:
        """Queue a measurement unless there is one; its result is False if it failed."""
        with self._lock:
            result = self._results.get(upload.id)
            if result is None:
                result = self._results[upload.id] = Future()
                self._waiting.setdefault(upload.account_id, deque()).append(upload)
                self._start()
            return result

    def _start(self) -> None:
        """Start as many measurements as there is room for. The lock must be held."""
        while (upload := self._next()) is not None:
            self._running[upload.account_id] += 1
            threading.Thread(
                target=self._measure, args=(upload,), name="measure", daemon=True
            ).start()

    def _next(self) -> Upload | None:
        """Take the oldest upload of the account with the fewest measurements in progress.

        Returns:
            None if no upload waits, or there is no room for it.
        """
        account_id = min(self._waiting, key=self._running.__getitem__, default=None)
        if account_id is None or not self._has_room(account_id):
            return None
        uploads = self._waiting.pop(account_id)
        upload = uploads.popleft()
        if uploads:
            self._waiting[account_id] = uploads  # behind the others
        return upload

    def _has_room(self, account_id: str) -> bool:
        running, free = self._running[account_id], CONCURRENT - self._running.total()
        return running < CONCURRENT_PER_ACCOUNT and free > (1 if running else 0)

    def _measure(self, upload: Upload) -> None:
        done = False
        try:
            measure(self._database, self._settings, self._storage, upload)
            done = True
        except Exception:
            logger.exception("%s could not be measured", upload.id)
        finally:
            with self._lock:
                self._running[upload.account_id] -= 1
                self._running += Counter()  # drops accounts with none
                result = self._results.pop(upload.id)
                self._start()
            result.set_result(done)
