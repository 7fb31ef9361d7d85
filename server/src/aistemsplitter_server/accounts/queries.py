"""Queries on accounts, keys and people."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, bindparam, delete, func, or_, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import (
    Account,
    AccountLimit,
    ApiKey,
    Link,
    Person,
    Signer,
    SignIn,
)

SignerRow = TypeVar("SignerRow", bound=Signer)

# Run with every request. Built once, and on the table: mapped objects take twice the time.
_KEYS = ApiKey.__table__.c
_ACCOUNTS = Account.__table__.c
_LIMITS = AccountLimit.__table__.c
_IDENTIFYING = select(
    _KEYS.account_id,
    _KEYS.is_test,
    _KEYS.digest,
    _KEYS.digest_secret,
    _KEYS.previous_digest,
    _KEYS.previous_digest_until,
    _KEYS.scopes,
    _KEYS.top_priority,
    _KEYS.expires_at,
    _KEYS.last_used_at,
    _KEYS.revoked_at,
    _ACCOUNTS.state,
    select(_LIMITS.value)
    .where(_LIMITS.account_id == _KEYS.account_id, _LIMITS.name == "requests_per_minute")
    .scalar_subquery()
    .label("requests_per_minute"),
).where(_KEYS.id == bindparam("key_id"), _ACCOUNTS.id == _KEYS.account_id)
# Run with every request for a page.
_SIGNED_IN = (
    select(
        SignIn.id,
        SignIn.person_id,
        SignIn.seen_at,
        SignIn.expires_at,
        Person.account_id,
        Person.email,
        Account.is_owner,
        Account.state,
    )
    .join(Person, Person.id == SignIn.person_id)
    .join(Account, Account.id == Person.account_id)
    .where(SignIn.digest.in_(bindparam("digests", expanding=True)))
)


def identifying(connection: Connection, key_id: str) -> Row[*tuple[Any, ...]] | None:
    """Return what authentication needs to know of a key, and of its account."""
    return connection.execute(_IDENTIFYING, {"key_id": key_id}).one_or_none()


def owner(session: Session) -> Account | None:
    """Return the operator's own account."""
    return session.scalars(select(Account).where(Account.is_owner)).one_or_none()


def accounts(session: Session) -> Sequence[Account]:
    """Return all accounts, oldest first."""
    return session.scalars(select(Account).order_by(Account.id)).all()


def names(session: Session, ids: Collection[str]) -> dict[str, str]:
    """Return the names of accounts by their ids."""
    rows = session.execute(select(Account.id, Account.name).where(Account.id.in_(ids)))
    return {row.id: row.name for row in rows}


def keys(session: Session, account_id: str | None) -> Sequence[ApiKey]:
    """Return the keys of an account, or of all for the operator, oldest first."""
    query = select(ApiKey).order_by(ApiKey.id)
    if account_id is not None:
        query = query.where(ApiKey.account_id == account_id)
    return session.scalars(query).all()


def keys_in_use(session: Session, account_id: str, now: datetime) -> int:
    """Count an account's keys that are neither revoked nor expired."""
    in_time = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)
    query = select(func.count()).where(
        ApiKey.account_id == account_id, ApiKey.revoked_at.is_(None), in_time
    )
    return session.scalars(query).one()


def person(session: Session, email: str) -> Person | None:
    """Return the person with an email address, given in lower case."""
    return session.scalars(select(Person).where(Person.email == email)).one_or_none()


def emails(session: Session, ids: Collection[str]) -> dict[str, str]:
    """Return the email addresses of people by their ids; unknown ids are left out."""
    rows = session.execute(select(Person.id, Person.email).where(Person.id.in_(ids)))
    return {row.id: row.email for row in rows}


def link(session: Session, digests: Sequence[bytes], *, lock: bool) -> Link | None:
    """Return a one-time link, used or not.

    Args:
        lock: Lock it until the end of the transaction, to use it.
    """
    query = select(Link).where(Link.digest.in_(digests))
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def signed_in(session: Session, digests: Sequence[bytes]) -> Row[*tuple[Any, ...]] | None:
    """Return a sign-in with its person, expired or not."""
    return session.execute(_SIGNED_IN, {"digests": digests}).one_or_none()


def end_sign_in(session: Session, digests: Sequence[bytes]) -> None:
    """Delete one sign-in."""
    session.execute(delete(SignIn).where(SignIn.digest.in_(digests)))


def end_sign_ins(session: Session, person_id: str, *, keep: str | None = None) -> None:
    """Delete all sign-ins of a person except one."""
    query = delete(SignIn).where(SignIn.person_id == person_id)
    session.execute(query if keep is None else query.where(SignIn.id != keep))


def with_old_secret(
    session: Session, table: type[SignerRow], now: datetime, limit: int
) -> Sequence[SignerRow]:
    """Return rows of a table whose previous webhook secret is no longer valid, locked."""
    query = select(table).where(table.previous_secret_until < now).limit(limit)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def people(session: Session, account_id: str, *, lock: bool = False) -> Sequence[Person]:
    """Return the people of an account, in the order in which they joined.

    Args:
        lock: Lock them until the end of the transaction.
    """
    query = select(Person).where(Person.account_id == account_id).order_by(Person.id)
    return session.scalars(query.with_for_update() if lock else query).all()


def last_seen(session: Session, account_id: str) -> dict[str, datetime]:
    """Return when each signed-in person of an account was last seen."""
    query = (
        select(Person.id, func.max(SignIn.seen_at).label("seen_at"))
        .join(SignIn, SignIn.person_id == Person.id)
        .where(Person.account_id == account_id)
        .group_by(Person.id)
    )
    return {row.id: row.seen_at for row in session.execute(query)}


def pending_links(session: Session, account_id: str, now: datetime) -> Sequence[Link]:
    """Return an account's one-time links that can still be used, newest first."""
    query = select(Link).where(
        Link.account_id == account_id, Link.used_at.is_(None), Link.expires_at > now
    )
    return session.scalars(query.order_by(Link.id.desc())).all()


def delete_links(session: Session, person_id: str) -> None:
    """Delete the links by which a person could choose a new password."""
    session.execute(delete(Link).where(Link.person_id == person_id))


def sign_ins(
    session: Session, person_id: str, now: datetime, seen_since: datetime
) -> Sequence[SignIn]:
    """Return the sign-ins of a person that have not ended, the most recently seen first."""
    query = select(SignIn).where(
        SignIn.person_id == person_id, SignIn.expires_at > now, SignIn.seen_at > seen_since
    )
    return session.scalars(query.order_by(SignIn.seen_at.desc(), SignIn.id)).all()
