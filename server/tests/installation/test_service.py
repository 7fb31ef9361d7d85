from __future__ import annotations

from typing import BinaryIO

import httpx2
import pytest
from sqlalchemy import QueuePool

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.installation.service import WrongInstallation
from aistemsplitter_server.installation.tables import STORAGE, Fingerprint
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.local import STORED
from beating import beat
from customers import Customer, customer
from databases import only_sqlite


def test_a_new_installation_records_its_secret_and_storage(
    settings: Settings, database: Database
) -> None:
    first = installation.start(settings, database)
    again = installation.start(settings, database)
    assert first.fingerprint == again.fingerprint
    assert (settings.data / STORED / installation.ID).is_file()


def test_a_missing_secret_is_not_replaced(settings: Settings, database: Database) -> None:
    installation.start(settings, database)
    path = settings.data / secrets.FILE_NAME
    path.unlink()
    with pytest.raises(WrongInstallation, match="is missing") as caught:
        installation.start(settings, database)
    assert caught.value.part == "secret"
    assert not path.exists()


def test_another_secret_is_refused(settings: Settings, database: Database) -> None:
    installation.start(settings, database)
    (settings.data / secrets.FILE_NAME).write_bytes(bytes(32))
    with pytest.raises(WrongInstallation, match="no API key would work"):
        installation.start(settings, database)
    installation.accept_secret(database, secrets.of(settings))
    installation.start(settings, database)


def test_two_processes_do_not_record_two_secrets(settings: Settings, database: Database) -> None:
    """The second one has not seen the first one's fingerprint."""
    first = installation.start(settings, database)
    with pytest.raises(WrongInstallation, match="no API key would work"):
        claim_secret(database, Secrets(bytes(32)))
    claim_secret(database, first)


def claim_secret(database: Database, keys: Secrets) -> None:
    with database.write() as session:
        installation._claim_secret(session, keys)


def test_another_secret_of_a_database_of_an_earlier_version(
    settings: Settings,
    database: Database,
    someone: Customer,  # noqa: ARG001  # whose webhook secret is encrypted
) -> None:
    with database.write() as session:
        session.query(Fingerprint).delete()
    path = settings.data / secrets.FILE_NAME
    right = path.read_bytes()
    path.write_bytes(bytes(32))
    with pytest.raises(WrongInstallation, match="no API key would work"):
        installation.start(settings, database)
    path.unlink()
    with pytest.raises(WrongInstallation, match="is missing"):
        installation.start(settings, database)
    path.write_bytes(right)
    path.chmod(0o600)
    installation.start(settings, database)


def test_another_storage_is_refused(settings: Settings, database: Database) -> None:
    keys = installation.start(settings, database)
    storage = settings.data / STORED
    storage.rename(settings.data / "unmounted")
    with pytest.raises(WrongInstallation, match="songs would be missing") as caught:
        installation.start(settings, database)
    assert caught.value.part == "storage"
    installation.accept_storage(database, configured(settings, keys), settings.data)
    installation.start(settings, database)


def test_no_connection_is_held_while_the_storage_answers(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = configured(settings, installation.start(settings, database))
    pool, read, held = database.engine.pool, storage.open, list[int]()
    assert isinstance(pool, QueuePool)

    def answer(key: str) -> BinaryIO:
        held.append(pool.checkedout())
        return read(key)

    monkeypatch.setattr(storage, "open", answer)
    assert installation.check_storage(database, storage)
    assert held == [0]


def test_two_processes_record_the_same_storage(settings: Settings, database: Database) -> None:
    """The second one has not seen the first one's id."""
    keys = installation.start(settings, database)
    (settings.data / STORED / installation.ID).unlink()
    with database.write() as session:
        row = session.get_one(Fingerprint, STORAGE)
        value = installation._record_first(session, STORAGE, "0" * installation.ID_LENGTH)
        assert value == row.value
        installation._set_id(configured(settings, keys), value, settings.data)
    installation.start(settings, database)


@only_sqlite
def test_a_service_whose_storage_vanishes_is_not_ready(
    client: httpx2.Client, settings: Settings, database: Database
) -> None:
    beat(database)
    installation.start(settings, database)
    assert client.get("/readyz").status_code == 200
    (settings.data / STORED).rename(settings.data / "unmounted")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "not the one of this database" in answer.json()["error"]["message"]


def test_a_key_is_hashed_again_when_it_is_used(settings: Settings, database: Database) -> None:
    key = customer(database, installation.start(settings, database)).api_key
    secrets.rotate(settings.data)
    keys = installation.start(settings, database)
    who = accounts.authenticate(database, keys, key)
    with database.read() as session:
        row = session.get_one(ApiKey, who.key_id)
        assert row.digest_secret == keys.fingerprint
    secrets.forget_previous(settings.data)
    only_new = installation.start(settings, database)
    assert accounts.authenticate(database, only_new, key).account_id == who.account_id
