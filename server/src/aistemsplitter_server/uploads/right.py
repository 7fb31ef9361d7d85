"""The permission to write an upload, which lasts as long as its bytes keep arriving."""

from __future__ import annotations

from datetime import timedelta

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Forbidden
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.uploads import service
from aistemsplitter_server.uploads.tables import Upload

MARGIN = timedelta(minutes=5)  # of time left when the permission is extended
TOO_SLOW = "The upload took too long. Reserve a new upload and send the bytes faster."


class Right:
    """One request's permission to write an upload."""

    def __init__(self, settings: Settings, database: Database, upload: Upload) -> None:
        self._settings = settings
        self._database = database
        self._upload_id = upload.id
        self._until = upload.expires_at
        self._is_final = False

    @property
    def remaining(self) -> timedelta:
        """The time until the permission ends."""
        return self._until - times.now()

    def extend(self, ahead: int = 0) -> None:
        """Extend the permission if it is about to end. Call it whenever bytes have arrived.

        Args:
            ahead: Bytes that may arrive before the next call.

        Raises:
            Forbidden: The permission has ended, since the bytes arrive too slowly.
            NotFound: The upload was deleted.
        """
        if not self._is_final and self.remaining < MARGIN + service.slowest(ahead):
            with self._database.write() as session:
                until = service.extend(session, self._settings, self._upload_id, ahead)
            self._is_final = until == self._until
            self._until = until
        if self.remaining <= timedelta():
            raise Forbidden(TOO_SLOW)
