"""Sweeps that fail item by item, and indexes by which each finds what is over its time."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

PARTIAL = (
    ("ix_uploads_live_expires_at", "uploads", "expires_at", "deleted_at IS NULL"),
    ("ix_uploads_unswept", "uploads", "deleted_at", "deleted_at IS NOT NULL AND swept_at IS NULL"),
    ("ix_splits_unerased", "splits", "deleted_at", "deleted_at IS NOT NULL AND erased_at IS NULL"),
    ("ix_purchases_pending", "purchases", "id", "state = 'pending'"),
    (
        "ix_api_keys_previous_secret_until",
        "api_keys",
        "previous_secret_until",
        "previous_secret_until IS NOT NULL",
    ),
)


def upgrade() -> None:
    """From fetches. Splits and uploads deleted before are erased by the sweeps."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "sweeps",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("ran_at", time, nullable=False),
        sa.Column("deleted", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("error", sa.String),
        sa.PrimaryKeyConstraint("name", name="pk_sweeps"),
    )
    op.create_table(
        "sweep_failures",
        sa.Column("sweep", sa.String, nullable=False),
        sa.Column("item", sa.String, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.String, nullable=False),
        sa.Column("failed_at", time, nullable=False),
        sa.Column("next_try_at", time, nullable=False),
        sa.PrimaryKeyConstraint("sweep", "item", name="pk_sweep_failures"),
    )
    op.create_index("ix_sweep_failures_failed_at", "sweep_failures", ["failed_at"])
    op.add_column("uploads", sa.Column("swept_at", time))
    op.add_column("splits", sa.Column("erased_at", time))
    op.add_column("webhook_receivers", sa.Column("used_at", time))
    for name, table, column, condition in PARTIAL:
        where = sa.text(condition)
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
    op.drop_index("ix_uploads_expires_at", "uploads")
    op.create_index("ix_sign_ins_seen_at", "sign_ins", ["seen_at"])
    op.create_index("ix_webhook_receivers_used_at", "webhook_receivers", ["used_at"])
