"""Rows of splits, inserted without running them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.operations import opening
from aistemsplitter_server.splits.tables import FAILED, SUCCEEDED, TERMINAL, Split


def account(database: Database, name: str = "someone", *, seconds: int = 600) -> str:
    """Create an account and return its id."""
    with database.write() as session:
        return opening.open_account(session, name, free_seconds=seconds).id


def split(account_id: str, status: str, **fields: Any) -> Split:
    """Return a split of a one-minute song that took 10 s, if it ended."""
    now = times.now()
    at: datetime = fields.get("finished_at") or fields.get("created_at") or now
    return Split(
        **{
            "id": ids.first("split", at)[:-10] + ids.new("split")[-10:],
            "account_id": account_id,
            "key_id": "key_none",
            "is_test": False,
            "status": status,
            "revision": 1,
            "stem_model": "htdemucs_tiny",
            "output_format": "wav",
            "stems": ["vocals"],
            "upload_id": "upl_none",
            "split_metadata": {},
            "served_by": "htdemucs_tiny",
            "filename": "song.flac",
            "duration_seconds": 60.0,
            "credits_used": 0,
            "warnings": [],
            "turn": 1,
            "attempt": 0 if status == "queued" else 1,
            "failures": 0,
            "progress": 1.0 if status == SUCCEEDED else 0.0,
            "error_code": "INTERNAL" if status == FAILED else None,
            "error_message": "It broke." if status == FAILED else None,
            "created_at": at,
            "updated_at": at,
            "finished_at": at if status in TERMINAL else None,
            **fields,
        }
    )


def add(database: Database, *splits: Split) -> None:
    """Insert the rows."""
    with database.write() as session:
        session.add_all(splits)
