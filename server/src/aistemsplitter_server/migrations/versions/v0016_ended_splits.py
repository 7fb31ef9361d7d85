"""The index of ended splits without the queue, and one of running splits that is always taken."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Replace two indexes.

    SQLite preferred the index of all splits, whose first column is the status, to the partial
    indexes of the queue: it read a row of the table for each of 100,000 queued splits. It scanned
    the table rather than an index of running splits without that column.
    """
    op.drop_index("ix_splits_ended", "splits")
    op.drop_index("ix_splits_processing", "splits")
    _partial(
        "ix_splits_ended",
        ["status", "finished_at", "error_code", "duration_seconds"],
        "finished_at IS NOT NULL",
    )
    _partial("ix_splits_processing", ["status", "account_id", "turn"], "status = 'processing'")


def _partial(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "splits", columns, sqlite_where=where, postgresql_where=where)
