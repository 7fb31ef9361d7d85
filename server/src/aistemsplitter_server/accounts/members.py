"""The rules for an account's people. Nothing here commits; the caller's unit of work does.

People join by a one-time link (``people.py``).
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import queries
from aistemsplitter_server.accounts.tables import Link, Person
from aistemsplitter_server.kit.errors import Conflict, NotFound


class LastPerson(Conflict):
    """The person is the last one who can sign in for the account."""


def one(session: Session, account_id: str, person_id: str) -> Person:
    """Return a person of the account.

    Raises:
        NotFound: The account has no such person.
    """
    person = session.get(Person, person_id)
    if person is None or person.account_id != account_id:
        raise NotFound("There is no such person.")
    return person


def remove(
    session: Session, account_id: str, person_id: str, *, even_the_last: bool = False
) -> str:
    """Remove a person, end their sign-ins, and return their email address.

    Their splits stay with the account.

    Args:
        even_the_last: Remove the person even if the account has no other.

    Raises:
        NotFound: The account has no such person.
        LastPerson: It is the account's only person.
    """
    # All are locked, so that two people who remove each other do not both succeed.
    people = queries.people(session, account_id, lock=True)
    person = next((each for each in people if each.id == person_id), None)
    if person is None:
        raise NotFound("There is no such person.")
    if len(people) == 1 and not even_the_last:
        raise LastPerson("The last person of an account cannot be removed.")
    queries.end_sign_ins(session, person_id)
    queries.delete_links(session, person_id)
    session.delete(person)
    return person.email


def sign_out(session: Session, account_id: str, person_id: str) -> str:
    """End all sign-ins of a person, and return their email address.

    Raises:
        NotFound: The account has no such person.
    """
    person = one(session, account_id, person_id)
    queries.end_sign_ins(session, person_id)
    return person.email


def revoke_link(session: Session, account_id: str, link_id: str) -> None:
    """Revoke a one-time link.

    Raises:
        NotFound: The account has no such link, or it was used.
    """
    link = session.get(Link, link_id, with_for_update=True)
    if link is None or link.account_id != account_id or link.used_at is not None:
        raise NotFound("There is no such link.")
    session.delete(link)
