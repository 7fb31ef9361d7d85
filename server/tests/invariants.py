"""Invariants of splits, credits, stems and webhooks that hold after killing any process."""

from __future__ import annotations

import io
import math
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.splits.tables import FAILED, SUCCEEDED, TERMINAL, Split
from aistemsplitter_server.webhooks.tables import Event
from customers import Customer
from receiver import Receiver

if TYPE_CHECKING:
    from killing import RetryingClient

RATE = 44100
GRACE = 2.0  # seconds after the end of a split during which its job may still run


@dataclass
class Order:
    """A requested split and its result."""

    split_id: str
    seconds: float
    stems: list[str]
    status: str = ""
    attempts: int = 0


def violations(
    api: RetryingClient, someone: Customer, orders: Sequence[Order], receiver: Receiver
) -> list[str]:
    """Return the violated invariants, one line each."""
    faults = [*receiver.faults]
    with someone.database.read() as session:
        rows = {
            row.id: row
            for row in session.scalars(
                select(Split).where(Split.account_id == someone.caller.account_id)
            )
        }
        if extra := rows.keys() - {order.split_id for order in orders}:
            faults.append(f"splits that were not requested: {sorted(extra)}")
        faults += ledger(session, someone, rows)
        faults += _jobs(session, someone.database.sqlite)
        found = session.execute(select(Event.split_id, Event.id))
        events = {row.split_id: row.id for row in found}
    for order in orders:
        row = rows.get(order.split_id)
        if row is None:
            faults.append(f"{order.split_id} was accepted but does not exist")
            continue
        order.status, order.attempts = row.status, row.attempt
        faults += [f"{order.split_id}: {fault}" for fault in _split(api, order, row)]
        faults += [f"{order.split_id}: {fault}" for fault in _webhook(receiver, events, row)]
    return faults


def _split(api: RetryingClient, order: Order, row: Split) -> Iterator[str]:
    shown = api.request("GET", f"/v1/audio/splits/{order.split_id}").json()["data"]
    price = math.ceil(order.seconds)
    if shown["status"] == FAILED:
        if not shown["error"] or "stems" in shown:
            yield f"failed with error {shown['error']} and stems {shown.get('stems')}"
        if shown["creditsUsed"] != 0:
            yield f"failed and costs {shown['creditsUsed']}"
    elif shown["status"] == SUCCEEDED:
        if shown["creditsUsed"] != price:
            yield f"costs {shown['creditsUsed']} instead of {price}"
        if list(shown["stems"]) != order.stems:
            yield f"has the stems {list(shown['stems'])} instead of {order.stems}"
        for name, url in shown["stems"].items():
            content = api.request("GET", url).content
            try:
                with wave.open(io.BytesIO(content)) as stem:
                    frames = (
                        len(stem.readframes(1 << 30)) // stem.getnchannels() // stem.getsampwidth()
                    )
            except (wave.Error, EOFError) as error:
                yield f"{name} cannot be read: {error}"
                continue
            if frames != int(RATE * order.seconds):
                yield f"{name} has {frames} frames instead of {int(RATE * order.seconds)}"
    else:
        yield f"is still {shown['status']} (attempt {row.attempt})"


def ledger(session: Session, someone: Customer, rows: dict[str, Split]) -> Iterator[str]:
    """Yield errors in an account's ledger, and differences to the splits' charges."""
    entries = session.scalars(
        select(Entry).where(Entry.account_id == someone.caller.account_id).order_by(Entry.number)
    ).all()
    balance = 0
    for number, entry in enumerate(entries, 1):
        balance += entry.seconds
        if (entry.number, entry.balance) != (number, balance) or balance < 0:
            yield f"entry {entry.id} is number {entry.number}, balance {entry.balance}"
    of = Counter((entry.split_id, entry.kind) for entry in entries if entry.split_id)
    sums = Counter[str]()
    for entry in entries:
        if entry.split_id:
            sums[entry.split_id] += entry.seconds
    if twice := [what for what, count in of.items() if count > 1]:
        yield f"more than once in the ledger: {twice}"
    for split_id, row in rows.items():
        # The charge of a split in progress counts too.
        owed = 0 if row.status == FAILED else -math.ceil(row.duration_seconds)
        if sums[split_id] != owed or row.credits_used != -owed:
            yield f"{split_id} is {row.status}, booked {sums[split_id]}, shown {row.credits_used}"


def _webhook(receiver: Receiver, events: dict[str, str], row: Split) -> Iterator[str]:
    event_id = events.get(row.id)
    if event_id is None:
        if row.status in TERMINAL:
            yield "has ended without an event"
        return
    event = receiver.events.get(event_id)
    if event is None:
        yield f"its event {event_id} did not arrive"
    elif (event.type, event.data.id) != (f"split.{row.status}", row.id):
        yield f"its event is {event.type} of {event.data.id}"


def _jobs(session: Session, sqlite: bool) -> Iterator[str]:
    schema = "" if sqlite else "dbos."
    left = session.execute(
        text(
            f"SELECT workflow_uuid, status FROM {schema}workflow_status"
            " WHERE status NOT IN ('SUCCESS')"
        )
    ).all()
    if left:
        yield f"jobs that did not succeed: {[tuple(job) for job in left[:5]]} ({len(left)})"
