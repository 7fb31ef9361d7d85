"""How long uploads last: measured once their bytes are whole, and waited for by who needs it."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from aistemsplitter_server import measuring
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict, Unavailable, ValidationFailed
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.measuring import MeasuringFailed
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing, Storage
from aistemsplitter_server.uploads.tables import Upload

logger = logging.getLogger(__name__)

AT_ONCE = 2  # in one process
PATIENCE = 20.0  # seconds that a request waits for one


class Measurements:
    """Those under way in this process; another process may do the same one, with the same end."""

    def __init__(self, settings: Settings, database: Database, storage: Storage) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._running: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._places = threading.Semaphore(AT_ONCE)

    def are_done(self, upload: Upload) -> bool:
        """Whether its length is known; else it has to be waited for.

        Raises:
            Conflict: its bytes are not there yet.
            ValidationFailed: it is no audio that can be split.
        """
        if upload.stored_at is None:
            raise Conflict(f"The bytes of {upload.id} have not arrived: upload them first.")
        if upload.fault_message is not None:
            raise ValidationFailed([("input.uploadId", upload.fault_message)])
        return upload.measured_at is not None

    def wait(self, upload: Upload) -> bool:
        """Measure it, or wait for who does; False where it takes too long, and goes on.

        Raises:
            Unavailable: it cannot be done now.
        """
        with self._lock:
            future = self._running.get(upload.id)
            if future is None:
                future = self._running[upload.id] = Future()
                threading.Thread(
                    target=self._measure, args=(upload, future), name="measure", daemon=True
                ).start()
        try:
            future.result(PATIENCE)
        except FutureTimeout:
            return False
        except (OSError, Missing):
            raise Unavailable("The upload cannot be measured now.") from None
        return True

    def _measure(self, upload: Upload, future: Future[None]) -> None:
        try:
            with self._places:
                self._write(upload)
        except Exception as error:
            logger.exception("%s could not be measured", upload.id)
            future.set_exception(error)
        else:
            future.set_result(None)
        finally:
            with self._lock:
                del self._running[upload.id]

    def _write(self, upload: Upload) -> None:
        values: dict[str, object]
        try:
            with self._storage.local_path(keys.upload(upload.id)) as path:
                found = measuring.measure(path, upload.filename, self._settings)
            values = {"duration_seconds": found.duration_seconds, "sample_rate": found.sample_rate}
        except MeasuringFailed as error:
            values = {"fault_code": error.code, "fault_message": error.message}
        with self._database.write() as session:
            row = session.get_one(Upload, upload.id)
            for name, value in values.items():
                setattr(row, name, value)
            row.measured_at = times.now()
