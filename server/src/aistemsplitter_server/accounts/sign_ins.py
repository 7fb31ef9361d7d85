"""The rules of sign-ins: browsers where a person is signed in. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import queries, scopes, standing
from aistemsplitter_server.accounts.people import WrongPassword
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.accounts.tables import ACTIVE, SUSPENDED, Person, SignIn
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.kit.secrets import Secrets

IDLE = timedelta(days=14)  # a sign-in ends when it was not seen for this long
LIFETIME = timedelta(days=90)
# resolution of the time last seen, so that most requests write nothing
SEEN_STEP = timedelta(minutes=5)
LONGEST_AGENT = 300  # characters


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The person that a request comes from, as its cookie proves."""

    sign_in_id: str
    person_id: str
    account_id: str
    email: str
    is_owner: bool  # of the service: the operator's own account
    seen_is_due: bool
    is_suspended: bool = False

    @property
    def caller(self) -> Caller:
        """The person as a caller, for the rules that the API and the pages share."""
        return Caller(
            self.account_id,
            self.person_id,
            is_test=False,
            scopes=frozenset(scopes.ALL),
            top_priority="interactive",
        )


def begin(
    session: Session, secrets: Secrets, person: Person, *, user_agent: str, address: str
) -> str:
    """Sign a browser in and return a new token for its cookie.

    Args:
        person: The person as of when their password was verified.

    Raises:
        WrongPassword: The password was changed, or the person removed, in the meantime.
        AccountSuspended: The person's account is suspended.
    """
    there = session.get(Person, person.id, with_for_update=True, populate_existing=True)
    if there is None or there.password_hash != person.password_hash:
        raise WrongPassword
    try:
        standing.require_active(session, person.account_id)
    except NotFound:  # the account is being deleted
        raise WrongPassword from None
    token, now = token_urlsafe(32), times.now()
    row = SignIn(
        id=ids.new("ses"),
        digest=secrets.digest(token),
        person_id=person.id,
        user_agent=user_agent[:LONGEST_AGENT],
        address=address,
        created_at=now,
        seen_at=now,
        expires_at=now + LIFETIME,
    )
    session.add(row)
    session.flush()
    return token


def of(session: Session, secrets: Secrets, token: str) -> SignedIn | None:
    """Return who is signed in with a token, if anyone."""
    found = queries.signed_in(session, secrets.digests(token))
    now = times.now()
    if found is None or found.state not in (ACTIVE, SUSPENDED):
        return None
    if found.expires_at <= now or found.seen_at + IDLE <= now:
        return None
    return SignedIn(
        found.id,
        found.person_id,
        found.account_id,
        found.email,
        found.is_owner,
        seen_is_due=now - found.seen_at >= SEEN_STEP,
        is_suspended=found.state == SUSPENDED,
    )


def lasts(session: Session, sign_in_id: str) -> bool:
    """Return whether a sign-in has neither ended nor lost its rights since the request began."""
    row = session.get(SignIn, sign_in_id)
    person = None if row is None else session.get(Person, row.person_id)
    return (
        row is not None
        and row.expires_at > times.now()
        and person is not None
        and standing.is_active(session, person.account_id)
    )


def note_seen(session: Session, sign_in_id: str) -> None:
    """Note that a sign-in was seen now."""
    row = session.get(SignIn, sign_in_id)
    if row is not None:
        row.seen_at = times.now()


def end(session: Session, secrets: Secrets, token: str) -> None:
    """Sign a browser out. Its token is refused from the commit on."""
    queries.end_sign_in(session, secrets.digests(token))


def everywhere(session: Session, person_id: str) -> Sequence[SignIn]:
    """Return the sign-ins of a person, the most recently seen first."""
    now = times.now()
    return queries.sign_ins(session, person_id, now, now - IDLE)


def end_one(session: Session, person_id: str, sign_in_id: str) -> None:
    """Revoke another sign-in of a person.

    Raises:
        NotFound: The person has no such sign-in.
    """
    row = session.get(SignIn, sign_in_id)
    if row is None or row.person_id != person_id:
        raise NotFound("There is no such sign-in.")
    session.delete(row)


def end_all(session: Session, person_id: str) -> None:
    """End all sign-ins of a person."""
    queries.end_sign_ins(session, person_id)
