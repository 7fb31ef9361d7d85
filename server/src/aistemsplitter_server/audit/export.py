"""The audit log as CSV or JSON lines, in pieces."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any, Literal

from aistemsplitter_server.accounts import queries as accounts
from aistemsplitter_server.audit import queries
from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.credits.export import as_text
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database

Format = Literal["csv", "jsonl"]
COLUMNS = ("time", "id", "account", "actor", "email", "action", "target", "details")
PAGE_SIZE = 1000  # entries in a piece


def pieces(
    database: Database, account_id: str | None, *, action: str | None, form: Format
) -> Iterator[str]:
    """Yield all entries, oldest first, with times in UTC.

    Args:
        account_id: The account; None for the entries of all accounts.
        action: The only action to export; None for all.
    """
    last = ""
    if form == "csv":
        yield _row(COLUMNS)
    while True:
        with database.read() as session:
            found = queries.after(session, account_id, action=action, after=last, limit=PAGE_SIZE)
            emails = accounts.emails(session, [entry.actor for entry in found])
        for entry in found:
            last = entry.id
        written = (_written(entry, emails.get(entry.actor), form) for entry in found)
        yield "".join(written)
        if len(found) < PAGE_SIZE:
            return


def shown(entry: AuditEntry, email: str | None) -> dict[str, Any]:
    """Return an entry as its JSON object."""
    return {
        "time": times.to_wire(entry.created_at),
        "id": entry.id,
        "account": entry.account_id,
        "actor": entry.actor,
        "email": email,
        "action": entry.action,
        "target": entry.target,
        "details": entry.details,
    }


def _written(entry: AuditEntry, email: str | None, form: Format) -> str:
    values = shown(entry, email)
    if form == "jsonl":
        return json.dumps(values, ensure_ascii=False) + "\n"
    details = json.dumps(entry.details, ensure_ascii=False) if entry.details else ""
    return _row(as_text(value or "") for value in ({**values, "details": details}).values())


def _row(cells: Any) -> str:
    written = StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
