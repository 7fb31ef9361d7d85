"""Ledger entries as people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.web.pages import reason
from aistemsplitter_server.web.texts import Texts

PAYMENT = re.compile(r"payment of \w+ (returned|reinstated)")
PACK = re.compile(r"pack of (\d+) minutes(?:, bought as \w+)?")
FAILED = "split failed: "
KNOWN = {
    "free credits of a new account": "usage.reasons.free",
    "granted by the operator": "usage.reasons.operator",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the ledger.

    Attributes:
        filename: The name of its split's file, while the split exists.
        note: The reason, in the reader's language where there is a text for it.
    """

    entry: Entry
    filename: str | None
    note: str


def line(t: Texts, entry: Entry, filenames: Mapping[str, str]) -> Line:
    """Return the line of an entry. ``filenames`` are by the splits' ids."""
    return Line(entry, filenames.get(entry.split_id or ""), in_words(t, entry))


def in_words(t: Texts, entry: Entry) -> str:
    """Return an entry's reason; nothing for a charge."""
    if entry.kind == "charge":
        return ""
    if entry.reason in KNOWN:
        return t(KNOWN[entry.reason])
    if pack := PACK.fullmatch(entry.reason):
        return t("usage.reasons.pack", n=int(pack[1]))
    if payment := PAYMENT.fullmatch(entry.reason):
        return t(f"usage.reasons.{payment[1]}")
    if entry.reason.startswith(FAILED):
        code = entry.reason.removeprefix(FAILED)
        return reason(t, code, code)
    return entry.reason
