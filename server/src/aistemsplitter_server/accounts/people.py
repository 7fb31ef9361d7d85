"""The rules of people who sign in. Nothing here commits; the caller's unit of work does.

Nobody registers by himself: a one-time link lets someone join an account or choose a new password.
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
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")  # what it is called; nothing is ever sent there
SHORTEST, LONGEST = 10, 256  # letters of a password
_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_places = threading.Semaphore(2)  # hashing takes 64 MiB each, so few do so at once
_room = threading.Semaphore(10)  # with those who wait: all requests share the process's threads
_nobody: list[str] = []  # the hash that is compared with where there is no such person


class WrongPassword(Exception):
    """No such person, or another password; which, is nobody's business."""


def link(
    session: Session,
    secrets: Secrets,
    account_id: str,
    *,
    note: str = "",
    person_id: str | None = None,
) -> str:
    """A one-time link's token, shown only here.

    Args:
        note: whom it is meant for.
        person_id: whose password it lets choose anew; None: it lets someone new join.

    Raises:
        NotFound: there is no such account.
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


def usable(session: Session, secrets: Secrets, token: str, *, hold: bool = False) -> Link:
    """The link that a token is of.

    Raises:
        NotFound: there is none, it was used, or its time is over.
        AccountSuspended: of its account.
    """
    found = queries.link(session, secrets.digest(token), hold=hold)
    if found is None or found.used_at is not None or found.expires_at <= times.now():
        raise NotFound("This link is not valid any more.")
    standing.require_active(session, found.account_id)
    return found


def follow(
    session: Session, secrets: Secrets, token: str, email: str, password_hash: str
) -> Person:
    """Use a link up: someone joins, or has a new password, which ends all sign-ins with the old.

    Args:
        password_hash: made by ``hashed`` before the transaction, for it takes its time.

    Raises:
        NotFound: see ``usable``.
        ValidationFailed: the email is none.
        Conflict: someone has that email already.
    """
    found = usable(session, secrets, token, hold=True)
    found.used_at = times.now()
    if found.person_id is not None:
        person = session.get(Person, found.person_id)
        if person is None:
            raise NotFound("This link is not valid any more.")
        set_password(session, person, password_hash)
        return person
    email = email.strip().lower()
    if not EMAIL.fullmatch(email):
        raise ValidationFailed([("email", "is not an email address")])
    if queries.person(session, email) is not None:
        raise Conflict("Someone with this email address has joined already.")
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
    session: Session, person: Person, password_hash: str, *, but: str | None = None
) -> None:
    """Choose another password: sign-ins with the old one end, and so do links to choose one.

    Args:
        but: the sign-in that goes on.
    """
    person.password_hash = password_hash
    queries.delete_links(session, person.id)
    queries.end_sign_ins(session, person.id, but=but)


def change_password(
    session: Session, person_id: str, *, verified: str, password_hash: str, sign_in_id: str
) -> None:
    """Choose another password oneself; all sign-ins but this one end.

    Args:
        verified: the hash that the present password was found to be of.

    Raises:
        WrongPassword: it was changed meanwhile.
    """
    person = session.get(Person, person_id, with_for_update=True)
    if person is None or person.password_hash != verified:
        raise WrongPassword
    set_password(session, person, password_hash, but=sign_in_id)


def hashed(password: str) -> str:
    """What is kept of a password.

    Raises:
        ValidationFailed: it is too short or too long.
        Unavailable: too many passwords are hashed already.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValidationFailed([("password", f"must have {SHORTEST} to {LONGEST} characters")])
    with _place():
        return _hasher.hash(password)


def verify(password: str, password_hash: str | None) -> None:
    """Make sure that a password is the right one; it takes as long where there is no hash.

    Raises:
        WrongPassword: it is not.
        Unavailable: too many passwords are hashed already.
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
        raise Unavailable("Too many people are signing in at this moment.")
    try:
        with _places:
            yield
    finally:
        _room.release()
