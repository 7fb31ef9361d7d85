"""An entry of the ledger in words for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.web.pages import reason
from aistemsplitter_server.web.texts import Texts

PACK = re.compile(r"pack of (\d+) minutes(?:, bought as \w+)?")
FAILED = "split failed: "
KNOWN = {
    "free credits of a new account": "usage.reasons.free",
    "granted by the operator": "usage.reasons.operator",
}


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown of one entry.

    Attributes:
        filename: of its split, while that is there.
        note: why, in the reader's language where we have the words.
    """

    entry: Entry
    filename: str | None
    note: str


def line(t: Texts, entry: Entry, filenames: Mapping[str, str]) -> Line:
    """One entry; ``filenames`` is by the splits' ids."""
    return Line(entry, filenames.get(entry.split_id or ""), in_words(t, entry))


def in_words(t: Texts, entry: Entry) -> str:
    """Why it was made; of a charge there is nothing to say."""
    if entry.kind == "charge":
        return ""
    if entry.reason in KNOWN:
        return t(KNOWN[entry.reason])
    if pack := PACK.fullmatch(entry.reason):
        return t("usage.reasons.pack", n=int(pack[1]))
    if entry.reason.startswith(FAILED):
        code = entry.reason.removeprefix(FAILED)
        return reason(t, code, code)
    return entry.reason
