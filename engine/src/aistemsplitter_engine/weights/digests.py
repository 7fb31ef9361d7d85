"""SHA-256 of files, computed once as long as a file does not change.

Hashing htdemucs_ft takes about a second, too long for every start. What was computed is remembered
in ``digests.json`` in the models folder for the file's path, size and time of change. That trusts
the file system, as one must: whoever can forge a time of change can also write the record.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

RECORD = "digests.json"


def sha256_of(path: Path, models_folder: Path) -> str:
    """The file's SHA-256 in hex, from the record in ``models_folder`` where it holds.

    Raises:
        OSError: the file cannot be read.
    """
    key, record = str(path.absolute()), _read(models_folder)
    state = _state(path)
    if (known := record.get(key)) and known[:2] == state:
        return str(known[2])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _state(path) == state:
        _write(models_folder, {**record, key: [*state, digest]})
    return digest


def _state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _read(models_folder: Path) -> dict[str, list[int | str]]:
    try:
        record = json.loads((models_folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {key: v for key, v in record.items() if isinstance(v, list) and len(v) == 3}


def _write(models_folder: Path, record: dict[str, list[int | str]]) -> None:
    # Where it cannot be written, files are hashed again next time. Two writers at once: the later
    # one wins, and what the other knew is found again.
    with contextlib.suppress(OSError):
        models_folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=models_folder, prefix=f".{RECORD}.")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(record, file)
            Path(draft).replace(models_folder / RECORD)
        finally:
            Path(draft).unlink(missing_ok=True)
