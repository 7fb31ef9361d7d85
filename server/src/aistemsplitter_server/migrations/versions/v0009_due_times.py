"""Deliveries are their own queue, and what has not ended is found without reading the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """From limits and modes. Until it ends, an older worker may deliver some events twice."""
    op.create_index(
        "ix_deliveries_account_id_next_attempt_at",
        "deliveries",
        ["account_id", "next_attempt_at"],
        sqlite_where=sa.text("next_attempt_at IS NOT NULL"),
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    op.execute(
        "UPDATE deliveries SET next_attempt_at = created_at"
        " WHERE state = 'pending' AND next_attempt_at IS NULL"
    )
    unfinished = sa.text("status IN ('queued', 'processing')")
    op.create_index(
        "ix_splits_unfinished",
        "splits",
        ["id"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    queued = sa.text("state = 'queued'")
    op.create_index(
        "ix_listening_queued",
        "listening",
        ["split_id"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
