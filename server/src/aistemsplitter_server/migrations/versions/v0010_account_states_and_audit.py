"""Accounts that are suspended or deleted, the audit log, and splits that retry another."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add columns with defaults and a table, which the previous version does not use."""
    time = sa.DateTime(timezone=True)
    op.add_column(
        "accounts", sa.Column("state", sa.String, server_default="active", nullable=False)
    )
    op.create_index(
        "ix_accounts_state",
        "accounts",
        ["state"],
        sqlite_where=sa.text("state != 'active'"),
        postgresql_where=sa.text("state != 'active'"),
    )
    op.add_column("splits", sa.Column("retry_of", sa.String))
    op.create_index(
        "ix_splits_retry_of",
        "splits",
        ["retry_of"],
        sqlite_where=sa.text("retry_of IS NOT NULL"),
        postgresql_where=sa.text("retry_of IS NOT NULL"),
    )
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("account_id", sa.String),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("target", sa.String),
        sa.Column("details", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_audit_entries_account_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
    )
    op.create_index("ix_audit_entries_account_id_id", "audit_entries", ["account_id", "id"])
    op.create_index("ix_audit_entries_action_id", "audit_entries", ["action", "id"])
