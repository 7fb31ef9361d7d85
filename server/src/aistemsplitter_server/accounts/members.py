"""The rules of who belongs to an account. Nothing here commits; the caller's unit of work does.

Who is invited joins by a one-time link (``people.py``).
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import queries
from aistemsplitter_server.accounts.tables import Link, Person
from aistemsplitter_server.kit.errors import Conflict, NotFound


class LastPerson(Conflict):
    """Nobody would be left who could sign in for the account."""


def one(session: Session, account_id: str, person_id: str) -> Person:
    """Someone of the account.

    Raises:
        NotFound: there is nobody like that, or it is another account's.
    """
    person = session.get(Person, person_id)
    if person is None or person.account_id != account_id:
        raise NotFound("There is no such person.")
    return person


def remove(session: Session, account_id: str, person_id: str) -> str:
    """Remove a person, end their sign-ins, and return their email.

    What they have split stays the account's.

    Raises:
        NotFound: there is nobody like that, or it is another account's.
        LastPerson: it is the only one.
    """
    # All are held, so that two who remove each other do not both succeed.
    people = queries.people(session, account_id, hold=True)
    person = next((each for each in people if each.id == person_id), None)
    if person is None:
        raise NotFound("There is no such person.")
    if len(people) == 1:
        raise LastPerson("The last person of an account cannot be removed.")
    queries.end_sign_ins(session, person_id)
    queries.delete_links(session, person_id)
    session.delete(person)
    return person.email


def revoke_link(session: Session, account_id: str, link_id: str) -> None:
    """Make a one-time link worth nothing.

    Raises:
        NotFound: there is none, it was used, or it is another account's.
    """
    link = session.get(Link, link_id, with_for_update=True)
    if link is None or link.account_id != account_id or link.used_at is not None:
        raise NotFound("There is no such link.")
    session.delete(link)
