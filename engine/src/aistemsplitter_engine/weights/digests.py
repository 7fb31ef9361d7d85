"""SHA-256 digests of files, computed again only if a file has changed.

Hashing htdemucs_ft takes about a second, too long for every start. Digests are stored in
``digests.json`` in the models folder, by the file's path, size and modification time. This trusts
the file system: a process that can forge a modification time can also write that file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

RECORD = "digests.json"
_computed: dict[str, list[int | str]] = {}  # by this process, where the record cannot be written


def sha256_of(path: Path, models_folder: Path) -> str:
    """Return the file's SHA-256 in hex, from the record in ``models_folder`` if it is up to date.

    Raises:
        OSError: The file cannot be read.
    """
    key, record = str(path.absolute()), _read(models_folder)
    state = _state(path)
    for known in (record.get(key), _computed.get(key)):
        if known and known[:2] == state:
            return str(known[2])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _state(path) == state:
        _computed[key] = [*state, digest]
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
    # If it cannot be written, files are hashed again next time. Of two concurrent writers the later
    # wins, and the other's digests are computed again.
    with contextlib.suppress(OSError):
        models_folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=models_folder, prefix=f".{RECORD}.")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(record, file)
            Path(draft).replace(models_folder / RECORD)
        finally:
            Path(draft).unlink(missing_ok=True)
