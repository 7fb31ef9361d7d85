"""Webhook endpoints, and the mode of events, by which they are listed."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Add a table and two columns. A worker of a previous version signs with the key's secret."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("account_id", sa.String, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("sealed_webhook_secret", sa.LargeBinary, nullable=False),
        sa.Column("sealed_previous_secret", sa.LargeBinary),
        sa.Column("previous_secret_until", time),
        sa.Column("failing_since", time),
        sa.Column("disabled_at", time),
        sa.Column("disabled_reason", sa.String),
        sa.Column("created_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
    )
    op.create_index(
        "ix_webhook_endpoints_account_id_is_test_id",
        "webhook_endpoints",
        ["account_id", "is_test", "id"],
    )
    replaced = sa.text("previous_secret_until IS NOT NULL")
    op.create_index(
        "ix_webhook_endpoints_previous_secret_until",
        "webhook_endpoints",
        ["previous_secret_until"],
        sqlite_where=replaced,
        postgresql_where=replaced,
    )
    op.add_column("deliveries", sa.Column("endpoint_id", sa.String))
    op.add_column(
        "events", sa.Column("is_test", sa.Boolean, server_default=sa.false(), nullable=False)
    )
    op.execute(
        "UPDATE events SET is_test = true WHERE split_id IN (SELECT id FROM splits WHERE is_test)"
    )
    # Sample events have no split, but always a delivery.
    op.execute(
        "UPDATE events SET is_test = true WHERE test"
        " AND id IN (SELECT event_id FROM deliveries WHERE is_test)"
    )
    # Receivers are hosts now. One that fails for five more days is disabled again.
    op.execute("DELETE FROM webhook_receivers")
    op.create_index("ix_events_account_id_is_test_id", "events", ["account_id", "is_test", "id"])
