"""The rules of browsers that are signed in. Nothing here commits."""

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

IDLE = timedelta(days=14)  # unseen for so long, it has ended
LIFETIME = timedelta(days=90)
SEEN_STEP = timedelta(minutes=5)  # last seen is kept this exactly, so that reading stays reading
LONGEST_AGENT = 300  # letters


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a request comes from, as its cookie proves."""

    sign_in_id: str
    person_id: str
    account_id: str
    email: str
    is_owner: bool  # of the service: the operator
    seen_is_due: bool
    is_suspended: bool = False

    @property
    def caller(self) -> Caller:
        """The same for the rules that both API and pages go by."""
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
    """Sign a browser in; the token for its cookie, always a new one.

    Args:
        person: as they were when their password was looked at.

    Raises:
        WrongPassword: it was changed meanwhile, or they were removed.
        AccountSuspended: of their account.
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
    """Who is signed in with this token; None where nobody is, or not any more."""
    found = queries.signed_in(session, secrets.digest(token))
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
    """Whether someone is signed in still, as they were when their request began."""
    row = session.get(SignIn, sign_in_id)
    person = None if row is None else session.get(Person, row.person_id)
    return (
        row is not None
        and row.expires_at > times.now()
        and person is not None
        and standing.is_active(session, person.account_id)
    )


def note_seen(session: Session, sign_in_id: str) -> None:
    """Keep that it was seen now."""
    row = session.get(SignIn, sign_in_id)
    if row is not None:
        row.seen_at = times.now()


def end(session: Session, secrets: Secrets, token: str) -> None:
    """Sign a browser out; its token is worth nothing from the commit on."""
    queries.end_sign_in(session, secrets.digest(token))


def everywhere(session: Session, person_id: str) -> Sequence[SignIn]:
    """Where someone is signed in, the newest seen first."""
    now = times.now()
    return queries.sign_ins(session, person_id, now, now - IDLE)


def end_one(session: Session, person_id: str, sign_in_id: str) -> None:
    """Sign one of someone's browsers out from afar.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = session.get(SignIn, sign_in_id)
    if row is None or row.person_id != person_id:
        raise NotFound("There is no such sign-in.")
    session.delete(row)


def end_all(session: Session, person_id: str) -> None:
    """Sign all of someone's browsers out."""
    queries.end_sign_ins(session, person_id)
