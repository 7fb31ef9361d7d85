"""The rules for people and their passwords. Nothing here commits; the caller's unit of work does.

There is no sign-up: a one-time link lets someone join an account or choose a new password.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from secrets import token_urlsafe

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import queries, standing
from aistemsplitter_server.accounts.tables import Link, Person
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.errors import Conflict, NotFound, Unavailable, ValidationFailed
from aistemsplitter_server.kit.secrets import Secrets

LINK_LIFETIME = timedelta(days=7)
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")  # an identifier only; nothing is ever sent to it
SHORTEST, LONGEST = 10, 256  # characters of a password
_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_places = threading.Semaphore(2)  # each hash takes 64 MiB, so few are computed at a time
_room = threading.Semaphore(10)  # including those that wait, since they block the process's threads
# a hash to compare with when the person is unknown, so that it takes as long
_nobody: list[str] = []


class WrongPassword(Exception):
    """The email address or the password is wrong. Deliberately not more exact."""


def link(
    session: Session,
    secrets: Secrets,
    account_id: str,
    *,
    note: str = "",
    person_id: str | None = None,
) -> str:
    """Create a one-time link and return its token, which is not stored.

    Args:
        note: The person whom the link is meant for, in the words of whoever creates it.
        person_id: The person who may choose a new password; None for someone new who may join.

    Raises:
        NotFound: The account does not exist.
    """
    standing.require_not_deleted(session, account_id)
    token, now = token_urlsafe(32), times.now()
    row = Link(
        id=ids.new("lnk"),
        digest=secrets.digest(token),
        account_id=account_id,
        person_id=person_id,
        note=note,
        created_at=now,
        expires_at=now + LINK_LIFETIME,
    )
    session.add(row)
    session.flush()
    return token


def usable(session: Session, secrets: Secrets, token: str, *, lock: bool = False) -> Link:
    """Return the link of a token, if it can still be used.

    Raises:
        NotFound: The link does not exist, was used, or has expired.
        AccountSuspended: The link's account is suspended.
    """
    found = queries.link(session, secrets.digests(token), lock=lock)
    if found is None or found.used_at is not None or found.expires_at <= times.now():
        raise NotFound("This link is no longer valid.")
    standing.require_active(session, found.account_id)
    return found


def follow(
    session: Session, secrets: Secrets, token: str, email: str, password_hash: str
) -> Person:
    """Use a link: a new person joins, or a person gets a new password, which ends all sign-ins.

    Args:
        password_hash: Made by ``hashed`` before the transaction, since hashing is slow.

    Raises:
        NotFound: See ``usable``.
        ValidationFailed: The email address is not valid.
        Conflict: A person with this email address exists.
    """
    found = usable(session, secrets, token, lock=True)
    found.used_at = times.now()
    if found.person_id is not None:
        person = session.get(Person, found.person_id)
        if person is None:
            raise NotFound("This link is no longer valid.")
        set_password(session, person, password_hash)
        return person
    email = email.strip().lower()
    if not EMAIL.fullmatch(email):
        raise ValidationFailed([("email", "is not an email address")])
    if queries.person(session, email) is not None:
        raise Conflict("A person with this email address has already joined.")
    person = Person(
        id=ids.new("usr"),
        account_id=found.account_id,
        email=email,
        password_hash=password_hash,
        created_at=times.now(),
    )
    session.add(person)
    session.flush()
    return person


def set_password(
    session: Session, person: Person, password_hash: str, *, keep: str | None = None
) -> None:
    """Set a password, and end the person's sign-ins and password links.

    Args:
        keep: The sign-in that does not end.
    """
    person.password_hash = password_hash
    queries.delete_links(session, person.id)
    queries.end_sign_ins(session, person.id, keep=keep)


def change_password(
    session: Session, person_id: str, *, verified: str, password_hash: str, sign_in_id: str
) -> None:
    """Change the person's own password, and end all their sign-ins but this one.

    Args:
        verified: The hash that the current password was checked against.

    Raises:
        WrongPassword: The password was changed in the meantime.
    """
    person = session.get(Person, person_id, with_for_update=True)
    if person is None or person.password_hash != verified:
        raise WrongPassword
    set_password(session, person, password_hash, keep=sign_in_id)


def hashed(password: str) -> str:
    """Return the hash of a password.

    Raises:
        ValidationFailed: The password is too short or too long.
        Unavailable: Too many passwords are being hashed.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValidationFailed([("password", f"must have {SHORTEST} to {LONGEST} characters")])
    with _place():
        return _hasher.hash(password)


def verify(password: str, password_hash: str | None) -> None:
    """Verify a password. It takes as long when there is no hash.

    Raises:
        WrongPassword: The password is wrong.
        Unavailable: Too many passwords are being hashed.
    """
    if password_hash is None and not _nobody:
        _nobody.append(hashed(token_urlsafe()))
    with _place():
        try:
            _hasher.verify(password_hash or _nobody[0], password[:LONGEST])
        except (VerificationError, InvalidHashError):
            raise WrongPassword from None
    if password_hash is None:
        raise WrongPassword


@contextmanager
def _place() -> Iterator[None]:
    if not _room.acquire(blocking=False):
        raise Unavailable("Too many people are signing in right now. Try again in a moment.")
    try:
        with _places:
            yield
    finally:
        _room.release()
