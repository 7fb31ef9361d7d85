"""A worker's changes of a split's row, without a worker."""

from __future__ import annotations

from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import fetches
from customers import Customer


def fetched(
    someone: Customer, settings: Settings, split_id: str, *, seconds: float, size: int
) -> None:
    """Mark a split's song as fetched and measured."""
    with someone.database.write() as session:
        begun = fetches.begin(session, split_id, "wrk_1")
        assert begun is not None
    with someone.database.write() as session:
        fetches.finish(
            session,
            split_id,
            begun.attempt,
            seconds,
            44100,
            size=size,
            allowed=limits_of(session, settings, someone.caller.account_id),
        )
