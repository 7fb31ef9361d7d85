"""A rotation of the secret: what is accepted, converted, and lost at its end."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import timedelta

import pytest
from pydantic import SecretStr

from aistemsplitter_server.accounts import people, sign_ins, webhook_secrets
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.installation import rotation
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import NotFound, Unauthorized
from aistemsplitter_server.kit.secrets import Secrets, UnusableSecret
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import service, sharing
from customers import Customer, customer

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Before:
    """What was made before the rotation."""

    someone: Customer
    signed_in: str
    link: str
    shared: str
    share_id: str


@pytest.fixture
def before(settings: Settings, database: Database) -> Before:
    keys = installation.start(settings, database)
    someone = customer(database, keys)
    split_id = someone.split().id
    with database.write() as session:
        account_id = someone.caller.account_id
        token = people.link(session, keys, account_id)
        ada = people.follow(session, keys, token, "ada@example.com", people.hashed("a password"))
        signed_in = sign_ins.begin(session, keys, ada, user_agent="", address="")
        link = people.link(session, keys, account_id)
        split = service.begin(session, split_id, "worker")
        assert split is not None
        service.succeed(session, split_id, 1, sample_rate=44100, warnings=[], retention=HOUR)
        share = sharing.share(session, keys, split, HOUR)
        shared = sharing.token(keys, share)
    return Before(someone, signed_in, link, shared, share.id)


@pytest.fixture
def rotated(settings: Settings, database: Database, before: Before) -> Secrets:  # noqa: ARG001  # they belong to what was made before
    """The secrets after a restart."""
    secrets.rotate(settings.data)
    return installation.start(settings, database)


def test_what_was_made_before_a_rotation_still_works(
    database: Database, before: Before, rotated: Secrets
) -> None:
    with database.write() as session:
        assert sign_ins.of(session, rotated, before.signed_in) is not None
        assert people.usable(session, rotated, before.link) is not None
        share, _ = sharing.shared(session, rotated, before.shared)
        assert sharing.token(rotated, share) == before.shared
        key = session.get_one(ApiKey, before.someone.caller.key_id)
        assert webhook_secrets.active(rotated, key) == [before.someone.webhook_secret]
        sign_ins.end(session, rotated, before.signed_in)
        assert sign_ins.of(session, rotated, before.signed_in) is None
    caller = accounts.authenticate(database, rotated, before.someone.api_key)
    assert caller.key_id == before.someone.caller.key_id


def test_converting_and_forgetting(
    settings: Settings, database: Database, before: Before, rotated: Secrets
) -> None:
    assert rotation.reencrypt(database, rotated).converted == 1
    assert rotation.reencrypt(database, rotated).converted == 0
    with database.read() as session:
        left = rotation.remaining(session, rotated)
    assert [key.id for key in left.keys] == [before.someone.caller.key_id]
    assert (left.sign_ins, left.links, left.shares) == (1, 1, 1)
    assert left.last_expiry is not None
    assert secrets.forget_previous(settings.data)
    new = installation.start(settings, database)
    with database.read() as session:
        key = session.get_one(ApiKey, before.someone.caller.key_id)
        assert webhook_secrets.active(new, key) == [before.someone.webhook_secret]
        assert sign_ins.of(session, new, before.signed_in) is None
        with pytest.raises(NotFound):
            sharing.shared(session, new, before.shared)
    with pytest.raises(Unauthorized):
        accounts.authenticate(database, new, before.someone.api_key)


def test_a_secret_that_is_lost(settings: Settings, database: Database, before: Before) -> None:
    (settings.data / secrets.FILE_NAME).write_bytes(bytes(32))
    keys = secrets.of(settings)
    assert rotation.reencrypt(database, keys).lost == [before.someone.caller.key_id]


def test_one_rotation_at_a_time(settings: Settings, rotated: Secrets) -> None:  # noqa: ARG001  # rotates
    with pytest.raises(UnusableSecret, match="secret forget"):
        secrets.rotate(settings.data)


def test_signed_urls_of_the_previous_secret() -> None:
    old, both, new = Secrets(bytes(32)), Secrets(b"n" * 32, bytes(32)), Secrets(b"n" * 32)
    signature = old.sign("purpose", "field")
    assert both.signed(signature, "purpose", "field")
    assert not new.signed(signature, "purpose", "field")
    assert both.sign("purpose", "field") == new.sign("purpose", "field")


def test_the_secrets_of_the_settings() -> None:
    made = Settings(secret=_encoded(b"n"), previous_secret=_encoded(b"o"))
    both = secrets.of(made)
    assert both.fingerprint == Secrets(b"n" * 32).fingerprint
    assert both.previous_fingerprint == Secrets(b"o" * 32).fingerprint
    assert "bm5u" not in repr(made) + str(made.shown())


def _encoded(byte: bytes) -> SecretStr:
    return SecretStr(b64encode(byte * 32).decode())
