"""The rules of credits. Nothing here commits; the caller's unit of work does.

Amounts are positive seconds of source audio; the kind of entry decides the sign in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.credits import queries
from aistemsplitter_server.credits.tables import Entry, Reservation, Total
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.errors import Conflict, InsufficientCredits, NotFound

# A charge locks the account's row but not its key (FOR NO KEY UPDATE). A new row that refers to the
# account takes a shared lock on the key, and two transactions that hold one and charge would
# deadlock.
_ACCOUNTS = Account.__table__.c
_HOLD = select(_ACCOUNTS.id).where(_ACCOUNTS.id == bindparam("id")).with_for_update(key_share=True)

# On the table: mapped objects take three times as long.
_ADD = insert(Entry.metadata.tables[Entry.__tablename__])

# Adds to a total, or creates it.
_ADD_UP = {
    dialect.dialect.name: (adding := dialect.insert(Total)).on_conflict_do_update(
        index_elements=[Total.account_id, Total.kind],
        set_={"seconds": Total.seconds + adding.excluded.seconds},
    )
    for dialect in (sqlite, postgresql)
}


def balance(session: Session | Connection, account_id: str) -> int:
    """Return the seconds that an account can spend."""
    return queries.balance(session, account_id) or 0


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of one day (UTC): seconds charged and not refunded, and of how many splits."""

    day: date
    seconds: int
    splits: int


def usage(session: Session, account_id: str, days: int) -> list[Usage]:
    """Return the usage of the last days up to today, in order, days without any included."""
    today = times.now().date()
    return usage_between(session, account_id, today - timedelta(days=days - 1), today)


def usage_between(session: Session, account_id: str, first: date, last: date) -> list[Usage]:
    """Return the usage of each day (UTC) from the first to the last, both included."""
    since = datetime.combine(first, time.min, UTC)
    until = datetime.combine(last, time.min, UTC) + timedelta(days=1)
    return [Usage(*used) for used in queries.used_by_day(session, account_id, since, until)]


def grant(
    session: Session, account_id: str, seconds: int, reason: str, *, entry_id: str | None = None
) -> Entry:
    """Grant an account credits.

    Args:
        entry_id: The id of the entry to create. If it exists already, it is returned.

    Raises:
        NotFound: The account does not exist.
        Conflict: The entry is another account's.
        ValueError: The amount is not more than 0 seconds.
    """
    if seconds <= 0:
        raise ValueError("a grant must be more than 0 seconds")
    return _add_once(session, account_id, "grant", seconds, reason, entry_id)


def withdraw(
    session: Session, account_id: str, seconds: int, reason: str, *, entry_id: str | None = None
) -> Entry:
    """Withdraw credits that an account was granted, such as by mistake.

    Args:
        entry_id: The id of the entry to create. If it exists already, it is returned.

    Raises:
        InsufficientCredits: The balance does not cover the amount.
        NotFound: The account does not exist.
        Conflict: The entry is another account's.
        ValueError: The amount is not more than 0 seconds.
    """
    if seconds <= 0:
        raise ValueError("a withdrawal must be more than 0 seconds")
    return _add_once(session, account_id, "withdrawal", -seconds, reason, entry_id)


def locked_balance(session: Session, account_id: str) -> int:
    """Return the balance, which no other transaction changes until this one ends.

    Raises:
        NotFound: The account does not exist.
    """
    _lock(session, account_id)
    return balance(session, account_id)


def reserve(session: Session, account_id: str, split_id: str, seconds: int) -> None:
    """Reserve credits for a split until it is charged or fails. Reserving again changes the amount.

    This limits how many songs are fetched that the balance cannot pay for. Reserved credits still
    count as part of the balance, and another split can be charged from them: what a song costs is
    known only once it is measured, so a reservation must not refuse one that can be paid in full.

    Raises:
        InsufficientCredits: The balance, less other reservations, does not cover the amount.
        NotFound: The account does not exist.
    """
    _lock(session, account_id)
    last = queries.last(session, account_id, split_id)
    if last.knows_split:
        return  # it is charged already
    if last.available < seconds:
        raise InsufficientCredits(seconds, last.available)
    session.merge(Reservation(split_id=split_id, account_id=account_id, seconds=seconds))
    session.flush()


def charge(session: Session, account_id: str, split_id: str, seconds: int) -> Entry:
    """Charge a split once. Charging again returns the existing charge.

    Raises:
        InsufficientCredits: The balance does not cover the amount.
        Conflict: The split was charged a different amount, or was refunded.
        NotFound: The account does not exist.
        ValueError: The amount is not more than 0 seconds.
    """
    if seconds <= 0:
        raise ValueError("a charge must be more than 0 seconds")
    _lock(session, account_id)
    last = queries.last(session, account_id, split_id)
    standing = (
        queries.of_split(session, account_id, split_id, "charge") if last.knows_split else None
    )
    if standing is not None:
        if queries.of_split(session, account_id, split_id, "refund"):
            raise Conflict("The split's charge was refunded.")
        if standing.seconds != -seconds:
            raise Conflict("The split was charged a different amount.")
        return standing
    entry = _add(session, account_id, "charge", -seconds, "split", split_id, last=last)
    if last.has_reservation:
        _release(session, split_id)
    return entry


def refund(session: Session, account_id: str, split_id: str, reason: str) -> Entry | None:
    """Refund a split's charge once, and release its reservation. Again, return the existing refund.

    Returns:
        None if nothing was charged.
    """
    _lock(session, account_id)
    _release(session, split_id)
    standing = queries.of_split(session, account_id, split_id, "refund")
    charged = queries.of_split(session, account_id, split_id, "charge")
    if standing is not None or charged is None:
        return standing
    last = queries.last(session, account_id)
    return _add(session, account_id, "refund", -charged.seconds, reason, split_id, last=last)


def _release(session: Session, split_id: str) -> None:
    session.execute(delete(Reservation).where(Reservation.split_id == split_id))


def _lock(session: Session, account_id: str) -> None:
    """Lock the account until the transaction ends. On SQLite there is only one writer anyway."""
    if session.scalar(_HOLD, {"id": account_id}) is None:
        raise NotFound(f"There is no account {account_id}.")


def _add_once(
    session: Session, account_id: str, kind: str, seconds: int, reason: str, entry_id: str | None
) -> Entry:
    """Add an entry without a split, or return the one that has the id already."""
    _lock(session, account_id)
    standing = session.get(Entry, entry_id) if entry_id is not None else None
    if standing is None:
        last = queries.last(session, account_id)
        return _add(session, account_id, kind, seconds, reason, last=last, entry_id=entry_id)
    if standing.account_id != account_id:
        raise Conflict("The entry is another account's.")
    if standing.kind != kind:
        raise Conflict("This form was already sent, for another purpose. Reload the page.")
    return standing


def _add(
    session: Session,
    account_id: str,
    kind: str,
    seconds: int,
    reason: str,
    split_id: str | None = None,
    *,
    last: queries.Last,
    entry_id: str | None = None,
) -> Entry:
    if last.balance + seconds < 0:
        raise InsufficientCredits(-seconds, last.balance)
    values = {
        "id": entry_id or ids.new("ent"),
        "account_id": account_id,
        "number": last.number + 1,
        "kind": kind,
        "seconds": seconds,
        "balance": last.balance + seconds,
        "split_id": split_id,
        "reason": reason,
        "created_at": times.now(),
    }
    session.execute(_ADD, values)
    total = {"account_id": account_id, "kind": kind, "seconds": abs(seconds)}
    session.execute(_ADD_UP[session.get_bind().dialect.name], total)
    return Entry(**values)
