"""Measuring the song of one upload."""

from __future__ import annotations

import logging

from aistemsplitter_server import measuring
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.measuring import MeasuringFailed
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.uploads import direct
from aistemsplitter_server.uploads.tables import Upload

logger = logging.getLogger(__name__)


def measure(database: Database, settings: Settings, storage: Storage, upload: Upload) -> None:
    """Measure an upload and record the result, which may be that it is not audio.

    Raises:
        Missing: Its bytes were deleted meanwhile.
        OSError: The storage cannot be used now.
    """
    values: dict[str, object]
    try:
        with storage.local_path(keys.upload(upload.id)) as path:
            found = measuring.measure(path, upload.filename, settings)
        values = {"duration_seconds": found.duration_seconds, "sample_rate": found.sample_rate}
    except MeasuringFailed as error:
        values = {"fault_code": error.code, "fault_message": error.message}
    with database.write() as session:
        row = session.get_one(Upload, upload.id)
        for name, value in values.items():
            setattr(row, name, value)
        row.measured_at, row.measure_at = times.now(), None
    if "fault_code" in values:
        _delete(settings, storage, upload)


def _delete(settings: Settings, storage: Storage, upload: Upload) -> None:
    """Delete the bytes of a file that is not audio. Its row stays for a while to say why."""
    try:
        if upload.direct_until is None:
            storage.delete_prefix(keys.upload(upload.id))
        else:
            direct.block(settings, storage, upload.id)
    except OSError as error:  # the sweep deletes them when they expire
        logger.warning("%s: not deleted: %s", upload.id, error.strerror)
