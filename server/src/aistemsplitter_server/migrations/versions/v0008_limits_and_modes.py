"""Limits of accounts, test data apart from live data, and shared counts of requests."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TEST_KEYS = "(SELECT id FROM api_keys WHERE is_test)"


def upgrade() -> None:
    """Add what the previous version does not write either as nullable or with a default."""
    op.create_table(
        "account_limits",
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_account_limits_account_id"
        ),
        sa.PrimaryKeyConstraint("account_id", "name", name="pk_account_limits"),
    )
    _partial_index("ix_api_keys_in_use", "api_keys", ["account_id"], "revoked_at IS NULL")

    _add_mode("uploads")
    op.execute(f"UPDATE uploads SET is_test = true WHERE key_id IN {TEST_KEYS}")
    open_uploads = "stored_at IS NULL AND deleted_at IS NULL"
    _partial_index("ix_uploads_open", "uploads", ["account_id", "expires_at"], open_uploads)
    kept = "deleted_at IS NULL AND fault_code IS NULL"
    _partial_index("ix_uploads_kept", "uploads", ["account_id", "content_length"], kept)

    op.add_column(
        "splits", sa.Column("stored_bytes", sa.BigInteger, server_default="0", nullable=False)
    )
    op.create_index("ix_splits_account_id_is_test_id", "splits", ["account_id", "is_test", "id"])
    _partial_index("ix_splits_queued", "splits", ["account_id", "is_test"], "status = 'queued'")
    stored = "stored_bytes > 0 AND swept_at IS NULL AND deleted_at IS NULL"
    _partial_index("ix_splits_stored", "splits", ["account_id", "stored_bytes"], stored)

    _add_mode("deliveries")
    events = f"(SELECT id FROM events WHERE key_id IN {TEST_KEYS})"
    op.execute(f"UPDATE deliveries SET is_test = true WHERE event_id IN {events}")
    op.create_index(
        "ix_deliveries_account_id_is_test_id", "deliveries", ["account_id", "is_test", "id"]
    )

    if op.get_bind().dialect.name == "postgresql":  # on SQLite they are in a file of their own
        op.create_table(
            "request_counts",
            sa.Column("name", sa.String, primary_key=True),
            sa.Column("period", sa.BigInteger, nullable=False),
            sa.Column("count", sa.BigInteger, nullable=False),
            sa.Column("previous_count", sa.BigInteger, nullable=False),
            sa.Column("expires_at", sa.Double, nullable=False),
            prefixes=["UNLOGGED"],
        )
        op.create_index("ix_request_counts_expires_at", "request_counts", ["expires_at"])


def _add_mode(table: str) -> None:
    op.add_column(
        table, sa.Column("is_test", sa.Boolean, server_default=sa.false(), nullable=False)
    )


def _partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
