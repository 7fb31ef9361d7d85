"""Test events; and usage by day without reading the whole ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From the web application's tables."""
    op.add_column(
        "events", sa.Column("test", sa.Boolean, server_default=sa.false(), nullable=False)
    )
    op.create_index(
        "ix_credit_entries_account_id_created_at", "credit_entries", ["account_id", "created_at"]
    )
