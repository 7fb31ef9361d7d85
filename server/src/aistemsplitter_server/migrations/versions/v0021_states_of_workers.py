"""The shortage, version and clock of each worker, and how far the attempts at a split got."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add columns that a previous version does not set."""
    op.add_column("workers", sa.Column("shortage", sa.String, nullable=True))
    op.add_column("workers", sa.Column("shortage_reason", sa.String, nullable=True))
    op.add_column("workers", sa.Column("version", sa.String, nullable=True))
    op.add_column("workers", sa.Column("clock_skew", sa.Double, nullable=True))
    op.add_column("splits", sa.Column("furthest", sa.Double, nullable=False, server_default="0"))
