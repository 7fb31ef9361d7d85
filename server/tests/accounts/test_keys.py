from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy.exc import IntegrityError

import schema
from aistemsplitter_server.accounts import key_format, queries, webhook_secrets
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict, Forbidden, NotFound, Unauthorized
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.operations import opening


@pytest.fixture
def account(database: Database) -> str:
    with database.write() as session:
        return opening.open_account(session, "someone", free_seconds=600).id


@pytest.fixture
def key(database: Database, server_secrets: Secrets, account: str) -> accounts.NewKey:
    with database.write() as session:
        return accounts.create_key(session, server_secrets, account)


def test_a_key_authenticates_its_account(
    database: Database, server_secrets: Secrets, account: str, key: accounts.NewKey
) -> None:
    caller = accounts.authenticate(database, server_secrets, key.api_key)
    assert (caller.account_id, caller.key_id, caller.is_test) == (account, key.id, False)
    caller.require(Scope.SPLITS_WRITE)
    with database.read() as session:
        assert credits.balance(session, account) == 600


def test_scopes(database: Database, server_secrets: Secrets, account: str) -> None:
    with database.write() as session:
        key = accounts.create_key(
            session, server_secrets, account, test=True, allowed=[Scope.SPLITS_READ]
        )
    assert key.api_key.startswith("ast_test_")
    caller = accounts.authenticate(database, server_secrets, key.api_key)
    assert caller.is_test
    with pytest.raises(Forbidden, match="splits:write"):
        caller.require(Scope.SPLITS_WRITE)


def test_invalid_keys_are_rejected(
    database: Database, server_secrets: Secrets, account: str, key: accounts.NewKey
) -> None:
    with database.write() as session:
        expired = accounts.create_key(session, server_secrets, account, expires_at=times.now())
        revoked = accounts.create_key(session, server_secrets, account)
        accounts.revoke_key(session, None, revoked.id)
    unknown = key_format.make(ids.new("key"), test=False)
    same_id_other_secret = key_format.make(key.id, test=False)
    for wrong in ("", "ast_live_", key.api_key + "x", expired.api_key, revoked.api_key):
        with pytest.raises(Unauthorized):
            accounts.authenticate(database, server_secrets, wrong)
    for wrong in (unknown, same_id_other_secret, key.api_key.replace("live", "test")):
        with pytest.raises(Unauthorized):
            accounts.authenticate(database, server_secrets, wrong)
    with pytest.raises(Unauthorized):
        accounts.authenticate(database, Secrets(bytes(32)), key.api_key)


def test_revoking_again_changes_nothing(database: Database, key: accounts.NewKey) -> None:
    with database.write() as session:
        first = accounts.revoke_key(session, None, key.id).revoked_at
    with database.write() as session:
        assert accounts.revoke_key(session, None, key.id).revoked_at == first
        with pytest.raises(NotFound):
            accounts.revoke_key(session, None, "key_unknown")


def test_another_accounts_key_is_not_found(
    database: Database, server_secrets: Secrets, account: str, key: accounts.NewKey
) -> None:
    with database.write() as session:
        other = opening.open_account(session, "other", free_seconds=0).id
        for wrong in (key.id, "key_unknown"):
            with pytest.raises(NotFound):
                accounts.revoke_key(session, other, wrong)
            with pytest.raises(NotFound):
                accounts.rotate_webhook_secret(session, server_secrets, other, wrong)
    assert accounts.authenticate(database, server_secrets, key.api_key).account_id == account
    with database.write() as session:
        assert accounts.revoke_key(session, account, key.id).revoked_at is not None
    with pytest.raises(Unauthorized):
        accounts.authenticate(database, server_secrets, key.api_key)


def test_a_repeated_creation_or_rotation_conflicts(
    database: Database, server_secrets: Secrets, account: str, key: accounts.NewKey
) -> None:
    with pytest.raises(Conflict), database.write() as session:
        accounts.create_key(session, server_secrets, account, key_id=key.id)
    with database.write() as session:
        version = accounts.secret_version(session.get_one(ApiKey, key.id))
        first = accounts.rotate_webhook_secret(
            session, server_secrets, account, key.id, version=version
        )
        with pytest.raises(Conflict):
            accounts.rotate_webhook_secret(
                session, server_secrets, account, key.id, version=version
            )
    with database.read() as session:
        row = session.get_one(ApiKey, key.id)
    assert webhook_secrets.active(server_secrets, row) == [first, key.webhook_secret]
    assert accounts.authenticate(database, server_secrets, key.api_key).key_id == key.id


def test_a_replaced_key_works_for_a_while(
    database: Database, server_secrets: Secrets, account: str, key: accounts.NewKey
) -> None:
    with database.write() as session:
        second = accounts.rotate_key(session, server_secrets, account, key.id)
    for works in (key.api_key, second):
        assert accounts.authenticate(database, server_secrets, works).key_id == key.id
    with database.write() as session:
        row = session.get_one(ApiKey, key.id)
        assert webhook_secrets.active(server_secrets, row) == [key.webhook_secret]
        row.previous_digest_until = times.now()
    with pytest.raises(Unauthorized):
        accounts.authenticate(database, server_secrets, key.api_key)
    with database.write() as session:
        third = accounts.rotate_key(session, server_secrets, account, key.id, valid_for=timedelta())
    assert accounts.authenticate(database, server_secrets, third).key_id == key.id
    with database.write() as session:
        fourth = accounts.rotate_key(session, server_secrets, account, key.id)
        accounts.revoke_key(session, account, key.id)
    for refused in (key.api_key, second, third, fourth):
        with pytest.raises(Unauthorized):
            accounts.authenticate(database, server_secrets, refused)
    with pytest.raises(Conflict), database.write() as session:
        accounts.rotate_key(session, server_secrets, account, key.id)


def test_a_replaced_key_stays_replaced_after_the_services_secret_is_rotated(
    database: Database, account: str
) -> None:
    """A use of the old key must not store its digest in place of the new one's."""
    before, after = bytes(32), bytes([1] * 32)
    secrets = Secrets(before)
    with database.write() as session:
        key = accounts.create_key(session, secrets, account)
        second = accounts.rotate_key(session, secrets, account, key.id)
    for works in (key.api_key, second, key.api_key, second):
        who = accounts.authenticate(database, Secrets(after, before), works)
        assert who.key_id == key.id
    accounts.authenticate(database, Secrets(after), second)


def test_a_key_that_is_replaced_while_it_is_used_stays_replaced(
    database: Database, account: str
) -> None:
    """Its use was checked before, and is noted after."""
    secrets = Secrets(bytes([1] * 32), bytes(32))
    with database.write() as session:
        key = accounts.create_key(session, Secrets(bytes(32)), account)
    who = accounts.identify(database, secrets, key.api_key)
    assert who.new_digest is not None
    with database.write() as session:
        second = accounts.rotate_key(session, secrets, account, key.id, valid_for=timedelta())
    accounts.note_use(database, who)
    assert accounts.authenticate(database, secrets, second).key_id == key.id
    with pytest.raises(Unauthorized):
        accounts.authenticate(database, secrets, key.api_key)


def test_last_use_is_recorded_at_intervals(
    database: Database, server_secrets: Secrets, key: accounts.NewKey
) -> None:
    def last_use() -> datetime | None:
        with database.read() as session:
            return session.get_one(ApiKey, key.id).last_used_at

    assert last_use() is None
    accounts.authenticate(database, server_secrets, key.api_key)
    first = last_use()
    assert first is not None
    accounts.authenticate(database, server_secrets, key.api_key)
    assert last_use() == first
    with database.write() as session:
        row = session.get_one(ApiKey, key.id)
        row.last_used_at = times.now() - timedelta(minutes=2)
    accounts.authenticate(database, server_secrets, key.api_key)
    latest = last_use()
    assert latest is not None
    assert latest >= first


def test_stored_keys_do_not_reveal_the_secret(database: Database, key: accounts.NewKey) -> None:
    assert key.api_key not in repr(key)
    assert key.webhook_secret not in repr(key)
    with database.engine.connect() as connection:
        dump = repr(
            [connection.execute(table.select()).all() for table in schema.metadata.tables.values()]
        )
    assert key.id in dump
    for secret in (key.api_key[-38:], key.webhook_secret):
        assert secret not in dump
        assert secret.encode().hex() not in dump.lower()


def test_webhook_secrets_are_encrypted_for_this_server_and_their_key(
    database: Database, server_secrets: Secrets, key: accounts.NewKey
) -> None:
    with database.read() as session:
        row = session.get_one(ApiKey, key.id)
    assert webhook_secrets.active(server_secrets, row) == [key.webhook_secret]
    with pytest.raises(InvalidTag):
        server_secrets.decrypt(row.sealed_webhook_secret, owner="key_other")
    with pytest.raises(InvalidTag):
        Secrets(bytes(32)).decrypt(row.sealed_webhook_secret, owner=key.id)


def test_there_is_one_owner(database: Database) -> None:
    with database.write() as session:
        first = opening.owner_account(session, "cli:tests", free_seconds=0)
        assert opening.owner_account(session, "cli:tests", free_seconds=0) is first
    with pytest.raises(IntegrityError), database.write() as session:
        opening.open_account(session, "second", free_seconds=0, is_owner=True)


def test_keys_of_one_account(database: Database, server_secrets: Secrets, account: str) -> None:
    with database.write() as session:
        other = opening.open_account(session, "other", free_seconds=0)
        mine = accounts.create_key(session, server_secrets, account)
        theirs = accounts.create_key(session, server_secrets, other.id)
        assert [key.id for key in queries.keys(session, account)] == [mine.id]
        assert {key.id for key in queries.keys(session, None)} == {mine.id, theirs.id}


def test_the_format() -> None:
    key_id = ids.new("key")
    api_key = key_format.make(key_id, test=False)
    assert key_format.key_id(api_key) == key_id
    assert key_format.make(key_id, test=False) != api_key
    for position in range(len(api_key)):
        typo = api_key[:position] + ("0" if api_key[position] != "0" else "1")
        assert key_format.key_id(typo + api_key[position + 1 :]) is None
