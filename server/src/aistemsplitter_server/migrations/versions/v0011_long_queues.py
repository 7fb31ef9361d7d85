"""Indexes for a million splits and a long queue, and the ledger's sums."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add partial indexes in place of those that grew with every split that ended.

    While a process of the previous version still serves, the entries that it adds are missing in
    the sums, which metrics alone read.
    """
    queued = "status = 'queued'"
    _partial("ix_splits_of_status", ["account_id", "is_test", "status", "id"], "deleted_at IS NULL")
    _partial("ix_splits_queue", ["turn", "id"], queued)
    _partial("ix_splits_queue_of_account", ["account_id", "turn", "duration_seconds"], queued)
    _partial("ix_splits_queue_by_model", ["served_by", "is_test", "duration_seconds"], queued)
    _partial("ix_splits_processing", ["turn"], "status = 'processing'")
    op.drop_index("ix_splits_status_turn", "splits")
    op.drop_index("ix_splits_account_id_status_turn", "splits")

    op.create_index(
        "ix_credit_entries_by_time",
        "credit_entries",
        ["account_id", "kind", "created_at", "seconds"],
    )
    op.drop_index("ix_credit_entries_account_id_created_at", "credit_entries")
    op.create_table(
        "credit_totals",
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("seconds", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_credit_totals_account_id"
        ),
        sa.PrimaryKeyConstraint("account_id", "kind", name="pk_credit_totals"),
    )
    op.execute(
        "INSERT INTO credit_totals SELECT account_id, kind, abs(sum(seconds))"
        " FROM credit_entries GROUP BY account_id, kind"
    )


def _partial(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "splits", columns, sqlite_where=where, postgresql_where=where)
