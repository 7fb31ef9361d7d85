"""An account's ledger as CSV, in pieces."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO

from aistemsplitter_server.credits import queries
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database

COLUMNS = ("time", "kind", "seconds", "balance", "split", "reason")
PAGE_SIZE = 1000  # entries in a piece
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # characters that begin a formula in spreadsheets


def pieces(database: Database, account_id: str) -> Iterator[str]:
    """Yield all entries, oldest first, with times in UTC and amounts in seconds.

    No transaction is held between two pieces: entries are only ever added, so none is missed.
    """
    written = StringIO()
    table = csv.writer(written)
    table.writerow(COLUMNS)
    number = 0
    while True:
        with database.read() as session:
            entries = queries.entries_after(session, account_id, number, PAGE_SIZE)
        for entry in entries:
            number = entry.number
            moment = times.to_wire(entry.created_at)
            split, reason = as_text(entry.split_id or ""), as_text(entry.reason)
            table.writerow((moment, entry.kind, entry.seconds, entry.balance, split, reason))
        yield written.getvalue()
        if len(entries) < PAGE_SIZE:
            return
        written.seek(0)
        written.truncate()


def as_text(cell: str) -> str:
    """Return a cell that spreadsheets read as text, never as a formula."""
    return f"'{cell}" if cell.startswith(FORMULAS) else cell
