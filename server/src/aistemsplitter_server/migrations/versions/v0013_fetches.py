"""Songs to fetch are a queue by themselves, and credits are reserved while they are fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """From rate limits. What an older version adds meanwhile is found by reconciliation."""
    waits = sa.text("fetch_at IS NOT NULL")
    op.add_column("splits", sa.Column("fetch_at", sa.DateTime(timezone=True)))
    op.create_index(
        "ix_splits_account_id_fetch_at",
        "splits",
        ["account_id", "fetch_at"],
        sqlite_where=waits,
        postgresql_where=waits,
    )
    op.execute(
        "UPDATE splits SET fetch_at = created_at"
        " WHERE status = 'queued' AND input_url IS NOT NULL AND duration_seconds = 0"
    )
    # By the status, SQLite would sort all that waits instead of reading this index in order.
    op.drop_index("ix_splits_unfinished", "splits")
    unfinished = sa.text("finished_at IS NULL")
    op.create_index(
        "ix_splits_unfinished",
        "splits",
        ["id"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    op.create_table(
        "credit_reservations",
        sa.Column("split_id", sa.String, primary_key=True),
        sa.Column("account_id", sa.String, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
    )
    op.create_index("ix_credit_reservations_account_id", "credit_reservations", ["account_id"])
