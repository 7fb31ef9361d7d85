"""Checks that the server is started with the secret and the storage of its database.

With another secret no API key works, and with another storage no song is found. Both would go
unnoticed: a missing secret is created, and a folder that is not mounted is a folder. Therefore the
database has a fingerprint of the secret, and the storage holds an object with a random id that the
database knows.
"""

from __future__ import annotations

import secrets as random
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.exceptions import InvalidTag
from sqlalchemy import select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.installation.tables import SECRET, STORAGE, Fingerprint
from aistemsplitter_server.kit import secrets, times
from aistemsplitter_server.kit.database import Database, add_if_missing
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.fallback import FallbackStorage
from aistemsplitter_server.storage.interface import Missing, Storage
from aistemsplitter_server.storage.keys import INSTALLATION

ID = f"{INSTALLATION}/id"  # key of the storage's object
ID_LENGTH = 32  # hexadecimal digits


class WrongInstallation(Exception):
    """The secret or the storage is not that of the database; the text says what to do.

    Attributes:
        part: ``secret`` or ``storage``.
    """

    def __init__(self, part: str, problem: str, todo: str) -> None:
        self.part = part
        self.problem = problem
        self.todo = todo
        super().__init__(f"{part}: {problem}. {todo}")


def start(settings: Settings, database: Database) -> Secrets:
    """Return the server's secret, once it and the storage are known to be the database's.

    Raises:
        WrongInstallation, UnusableSecret: See ``load_secrets`` and ``claim_storage``.
        OSError: The storage cannot be used.
    """
    keys = load_secrets(settings, database)
    storage = configured(settings, keys)
    if settings.storage is not None or settings.storage_fallback is not None:
        storage.check(thorough=True)  # so that a missing permission is noticed now, not in a split
    claim_storage(database, storage, settings.data)
    return keys


def load_secrets(settings: Settings, database: Database) -> Secrets:
    """Return the server's secret, created with a new database, and check that it is the database's.

    Raises:
        WrongInstallation: It is missing, or not that of the database.
        UnusableSecret: See ``secrets.load``.
    """
    with database.read() as session:
        require_secret(session, settings)
    keys = secrets.of(settings)
    with database.read() as session:
        is_recorded = _recorded(session, SECRET) == keys.fingerprint
        if not is_recorded:
            check_secret(session, keys)
    if not is_recorded:
        with database.write() as session:
            _claim_secret(session, keys)
    return keys


def require_secret(session: Session, settings: Settings) -> None:
    """Check that there is a secret if the database needs one.

    Raises:
        WrongInstallation: It is missing.
    """
    if secrets.exists(settings):
        return
    if _recorded(session, SECRET) is None and _a_key(session) is None:
        return
    path = settings.data / secrets.FILE_NAME
    raise WrongInstallation(
        SECRET,
        f"{path} is missing, and the database has keys that need it",
        f"Restore it from a backup, or mount the data folder; if it is lost, {_accept(SECRET)}",
    )


def check_secret(session: Session, keys: Secrets) -> None:
    """Check that the secret, or the previous one, is that of the database.

    Raises:
        WrongInstallation: It is another one.
    """
    recorded = _recorded(session, SECRET)
    if recorded is None:  # the database is new, or of a version that recorded none
        key = _a_key(session)
        if key is None or _opens(keys, key):
            return
    elif recorded in (keys.fingerprint, keys.previous_fingerprint):
        return
    raise WrongInstallation(
        SECRET,
        "it is not the one that this database was used with, so no API key would work",
        f"Restore it from a backup, correct {PREFIX}SECRET, or set {PREFIX}PREVIOUS_SECRET;"
        f" if it is lost, {_accept(SECRET)}",
    )


def check_storage(database: Database, storage: Storage) -> bool:
    """Check that the storage is that of the database. Return whether the database has recorded one.

    While files are moved there are two, both with the id that the database knows: ``storage
    migrate`` writes it when it has copied everything. No connection to the database is held while
    the storage answers.

    Raises:
        WrongInstallation: It is another one.
        OSError: It cannot be read.
    """
    with database.read() as session:
        recorded = _recorded(session, STORAGE)
    if recorded is None:
        return False
    if all(_id(part) == recorded for part in _parts(storage)):
        return True
    if isinstance(storage, FallbackStorage) and _id(storage.fallback) == recorded:
        raise WrongInstallation(
            STORAGE,
            f"it lacks files of {PREFIX}STORAGE_FALLBACK, which were never copied completely",
            f"Run `aistemsplitter-server storage migrate`, or correct {PREFIX}STORAGE",
        )
    raise WrongInstallation(
        STORAGE,
        "it is not the one that this database was used with, so its songs would be missing",
        f"Mount it, or restore it from a backup; if its files are lost, {_accept(STORAGE)}",
    )


def check_target(database: Database, target: Storage, address: str) -> None:
    """Check that files may be moved to a storage: it belongs to this database or to none.

    Raises:
        WrongInstallation: It belongs to another one.
        OSError: It cannot be read.
    """
    with database.read() as session:
        recorded = _recorded(session, STORAGE)
    if _id(target) not in (None, recorded):
        raise WrongInstallation(
            STORAGE, f"{address} belongs to another database", "Choose another bucket or prefix"
        )


def adopt_storage(database: Database, target: Storage, folder: Path) -> None:
    """Make a storage that has all files one of those with which this database may be used."""
    with database.read() as session:
        recorded = _recorded(session, STORAGE)
    assert recorded is not None
    _set_id(target, recorded, folder)


def claim_storage(database: Database, storage: Storage, folder: Path) -> None:
    """Check that the storage is that of the database. Record it if none is recorded.

    Args:
        folder: An existing folder for a temporary file.

    Raises:
        WrongInstallation: It is another one.
        OSError: It cannot be used.
    """
    if check_storage(database, storage):
        return
    # In one transaction: if the storage cannot be written, nothing is recorded. It happens once.
    with database.write() as session:
        value = _id(storage) or random.token_hex(ID_LENGTH // 2)
        value = _record_first(session, STORAGE, value)
        for part in _parts(storage):
            _set_id(part, value, folder)


def _claim_secret(session: Session, keys: Secrets) -> None:
    """Record a secret as that of the database, unless another process has recorded another one."""
    _record_first(session, SECRET, keys.fingerprint)
    check_secret(session, keys)
    _record(session, SECRET, keys.fingerprint)  # if the previous one was recorded


def accept_secret(database: Database, keys: Secrets) -> None:
    """Record the present secret as that of the database."""
    with database.write() as session:
        _record(session, SECRET, keys.fingerprint)


def accept_storage(database: Database, storage: Storage, folder: Path) -> None:
    """Record the present storage as that of the database."""
    value = random.token_hex(ID_LENGTH // 2)
    for part in _parts(storage):
        _set_id(part, value, folder)
    with database.write() as session:
        _record(session, STORAGE, value)


def _accept(part: str) -> str:
    return f"`aistemsplitter-server db accept {part}` continues without it"


def _recorded(session: Session, name: str) -> str | None:
    return session.scalar(select(Fingerprint.value).where(Fingerprint.name == name))


def _record(session: Session, name: str, value: str) -> None:
    session.merge(Fingerprint(name=name, value=value, recorded_at=times.now()))


def _record_first(session: Session, name: str, value: str) -> str:
    """Record a value unless another process has; return the one that is recorded."""
    add_if_missing(session, Fingerprint, name=name, value=value, recorded_at=times.now())
    return session.get_one(Fingerprint, name, populate_existing=True).value


def _a_key(session: Session) -> ApiKey | None:
    return session.scalars(select(ApiKey).order_by(ApiKey.id.desc()).limit(1)).first()


def _opens(keys: Secrets, key: ApiKey) -> bool:
    try:
        keys.decrypt(key.sealed_webhook_secret, owner=key.id)
    except InvalidTag:
        return False
    return True


def _parts(storage: Storage) -> tuple[Storage, ...]:
    """Return the storages that make up one: two while files are moved."""
    if isinstance(storage, FallbackStorage):
        return storage.first, storage.fallback
    return (storage,)


def _id(storage: Storage) -> str | None:
    try:
        with storage.open(ID) as file:
            return file.read(ID_LENGTH).decode("ascii", "replace")
    except Missing:
        return None


def _set_id(storage: Storage, value: str, folder: Path) -> None:
    if _id(storage) == value:
        return
    with NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(value.encode())
    try:
        storage.put_file(ID, Path(file.name))
    finally:
        Path(file.name).unlink(missing_ok=True)
