"""The rules of accounts and API keys. Nothing here commits; the caller's unit of work does."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import key_format, queries, scopes, standing, webhook_secrets
from aistemsplitter_server.accounts.limits import Limits, check, lock
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.tables import ACTIVE, SUSPENDED, Account, ApiKey
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import (
    AccountSuspended,
    Conflict,
    Forbidden,
    NotFound,
    Unauthorized,
)
from aistemsplitter_server.kit.secrets import Secrets

logger = logging.getLogger(__name__)

# resolution of the last use, so that most requests write nothing
LAST_USE_STEP = timedelta(minutes=1)
ROTATION = timedelta(hours=24)
NO_DIGEST = bytes(32)
MADE = "This key was created already."
ACCOUNT_EXISTS = "This account was created already."


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key with its secrets, which are shown only once."""

    id: str
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request was sent with, and what it may do."""

    account_id: str
    key_id: str
    is_test: bool
    scopes: frozenset[str]
    top_priority: Literal["interactive", "batch"]  # the highest that it may ask for
    use_is_due: bool = False  # the time of the key's last use, or its digest, has to be updated
    requests_per_minute: int | None = None  # the account's override of the setting, if any
    # The key's digest with the current secret, and that secret, if another one is stored.
    new_digest: tuple[bytes, str] | None = field(default=None, repr=False)

    def scoped(self, idempotency_key: str | None) -> str | None:
        """Return an idempotency key as it is stored: those of test keys have their own namespace.

        The prefix contains a line break, which no key in a header can.
        """
        if idempotency_key is None or not self.is_test:
            return idempotency_key
        return f"test\n{idempotency_key}"

    def require(self, scope: Scope) -> None:
        """Raise ``Forbidden`` unless the key has the scope."""
        if scope not in self.scopes:
            raise Forbidden(f"This API key lacks the scope {scope.value}.")


def create_account(
    session: Session, name: str, *, is_owner: bool = False, account_id: str | None = None
) -> Account:
    """Create an account, without any credits.

    Args:
        is_owner: Whether it is the operator's own account.
        account_id: The id to use, where a form that is sent twice must not create two accounts.

    Raises:
        Conflict: An account with this id exists.
    """
    if account_id is not None and session.get(Account, account_id) is not None:
        raise Conflict(ACCOUNT_EXISTS)
    account = Account(
        id=account_id or ids.new("acc"), name=name, is_owner=is_owner, created_at=times.now()
    )
    session.add(account)
    try:
        session.flush()
    except IntegrityError:
        if account_id is None:
            raise
        raise Conflict(ACCOUNT_EXISTS) from None
    return account


def create_key(
    session: Session,
    secrets: Secrets,
    account_id: str,
    *,
    name: str = "",
    test: bool = False,
    allowed: Collection[Scope] = scopes.ALL,
    expires_at: datetime | None = None,
    top_priority: Literal["interactive", "batch"] = "interactive",
    key_id: str | None = None,
    limits: Limits = Limits(),  # noqa: B008  immutable
) -> NewKey:
    """Create a key with its webhook secret. Neither can be read again.

    Args:
        top_priority: The highest priority that its splits may ask for.
        key_id: The id to use, where a form that is sent twice must not create two keys.
        limits: The account's limits.

    Raises:
        NotFound: The account does not exist.
        Conflict: The key was created already.
        LimitExceeded: The account has reached its limit of keys.
    """
    lock(session, account_id)
    standing.require_not_deleted(session, account_id)
    if key_id is not None and session.get(ApiKey, key_id) is not None:
        raise Conflict(MADE)
    check(limits, "keys", lambda: queries.keys_in_use(session, account_id, times.now()))
    key_id = key_id or ids.new("key")
    api_key = key_format.make(key_id, test=test)
    webhook_secret = webhook_secrets.new()
    row = ApiKey(
        id=key_id,
        account_id=account_id,
        name=name,
        is_test=test,
        digest=secrets.digest(api_key),
        digest_secret=secrets.fingerprint,
        scopes=[scope.value for scope in allowed],
        sealed_webhook_secret=secrets.encrypt(webhook_secret, owner=key_id),
        top_priority=top_priority,
        created_at=times.now(),
        expires_at=expires_at,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError:
        raise Conflict(MADE) from None
    return NewKey(key_id, api_key, webhook_secret)


def known_key(
    session: Session, account_id: str | None, key_id: str, *, lock: bool = False
) -> ApiKey:
    """Return a key of the account.

    Args:
        account_id: The account; None for the operator, who may see all keys.
        lock: Lock the key until the end of the transaction, to change it.

    Raises:
        NotFound: The account has no such key.
    """
    key = session.get(ApiKey, key_id, with_for_update=lock)
    if key is None or account_id not in (None, key.account_id):
        raise NotFound(f"There is no key {key_id[:64]}.")
    return key


def secret_version(key: ApiKey) -> str:
    """Return a fingerprint of a key's current webhook secret that reveals nothing of it."""
    return sha256(key.sealed_webhook_secret).hexdigest()[:16]


def rotate_webhook_secret(
    session: Session,
    secrets: Secrets,
    account_id: str | None,
    key_id: str,
    *,
    version: str | None = None,
) -> str:
    """Replace a key's webhook secret and return the new one. The old one also signs for a day.

    Args:
        version: Replace only this version of the secret, so that a form that is sent twice replaces
            one; None for any.

    Raises:
        NotFound: See ``known_key``.
        Conflict: The key has another secret by now.
    """
    key = known_key(session, account_id, key_id, lock=True)
    if version not in (None, secret_version(key)):
        raise Conflict("This secret was replaced already.")
    return webhook_secrets.replace(secrets, key)


def key_version(key: ApiKey) -> str:
    """Return a fingerprint of the current key that reveals nothing of it."""
    return sha256(key.digest).hexdigest()[:16]


def rotate_key(
    session: Session,
    secrets: Secrets,
    account_id: str | None,
    key_id: str,
    *,
    valid_for: timedelta = ROTATION,
    version: str | None = None,
) -> str:
    """Replace a key and return the new one; its id, scopes and webhook secret stay.

    Args:
        valid_for: How long the replaced key is still accepted. A key replaced before that is
            refused from now on.
        version: Replace only this version of the key, so that a form that is sent twice replaces
            one; None for any.

    Raises:
        NotFound: See ``known_key``.
        Conflict: The key is revoked or expired, or was replaced by now.
    """
    key = known_key(session, account_id, key_id, lock=True)
    now = times.now()
    if key.is_over(now):
        raise Conflict("This key is revoked or expired. Create another one.")
    if version not in (None, key_version(key)):
        raise Conflict("This key was replaced already.")
    api_key = key_format.make(key.id, test=key.is_test)
    key.previous_digest, key.previous_digest_until = key.digest, now + valid_for
    key.digest, key.digest_secret = secrets.digest(api_key), secrets.fingerprint
    return api_key


def revoke_key(session: Session, account_id: str | None, key_id: str) -> ApiKey:
    """Revoke a key. All processes refuse it from the commit on. Revoking again changes nothing.

    Raises:
        NotFound: See ``known_key``.
    """
    key = known_key(session, account_id, key_id, lock=True)
    key.revoked_at = key.revoked_at or times.now()
    return key


def is_good(session: Session, key_id: str) -> bool:
    """Return whether the key of a long request is still valid and its account active."""
    key = session.get(ApiKey, key_id)
    good = key is not None and not key.is_over(times.now())
    return good and key is not None and standing.is_active(session, key.account_id)


def authenticate(database: Database, secrets: Secrets, api_key: str) -> Caller:
    """Return the caller of a key, and note that the key was used.

    Raises:
        Unauthorized: The key is malformed, unknown, expired or revoked; the error does not say
            which.
    """
    who = identify(database, secrets, api_key)
    if who.use_is_due:
        note_use(database, who)
    return who


def identify(database: Database, secrets: Secrets, api_key: str) -> Caller:
    """Return the caller of a key. Nothing is cached, so a revoked key is refused at once.

    Raises:
        Unauthorized: The key is malformed, unknown, expired or revoked; the error does not say
            which.
        AccountSuspended: The key is valid, and its account is suspended.
    """
    key_id = key_format.key_id(api_key)
    if key_id is None:
        raise Unauthorized
    with database.read_connection() as connection:
        key = queries.identifying(connection, key_id)
    # Unknown keys are compared too, so that the response time reveals nothing.
    digests = secrets.digests(api_key)
    now = times.now()
    is_newest = _is_one_of(key.digest if key else NO_DIGEST, digests)
    is_previous = _is_one_of((key.previous_digest if key else None) or NO_DIGEST, digests)
    if is_previous and key is not None:
        is_previous = key.previous_digest_until is not None and now < key.previous_digest_until
    if (
        not (is_newest or is_previous)
        or key is None
        or key.revoked_at
        or (key.expires_at and key.expires_at <= now)
    ):
        raise Unauthorized
    if key.state != ACTIVE:
        raise AccountSuspended if key.state == SUSPENDED else Unauthorized
    use_is_due = key.last_used_at is None or now - key.last_used_at >= LAST_USE_STEP
    is_current = is_previous or key.digest_secret == secrets.fingerprint
    allowed = frozenset(key.scopes)
    return Caller(
        key.account_id,
        key_id,
        key.is_test,
        allowed,
        key.top_priority,
        use_is_due or not is_current,
        key.requests_per_minute,
        None if is_current else (digests[0], secrets.fingerprint),
    )


def _is_one_of(stored: bytes, digests: Sequence[bytes]) -> bool:
    return any(hmac.compare_digest(digest, stored) for digest in digests)


def note_use(database: Database, who: Caller) -> None:
    """Note when a key was last used. The request continues if that cannot be written.

    Only now is the key known, so its digest with a new secret is stored here too, unless it has one
    already: the key may have been replaced since it was checked.
    """
    now = times.now()
    try:
        with database.write() as session:
            key = session.get_one(ApiKey, who.key_id, with_for_update=True)
            key.last_used_at = max(now, key.last_used_at or now)
            if who.new_digest is not None and key.digest_secret != who.new_digest[1]:
                key.digest, key.digest_secret = who.new_digest
    except OperationalError as error:
        logger.warning("the last use of %s could not be recorded: %s", who.key_id, error.orig)
