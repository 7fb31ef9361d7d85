"""Stems that are delivered to presigned URLs of the customer."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Add columns that a previous version does not set."""
    op.add_column("splits", sa.Column("output", sa.JSON, nullable=True))
    op.add_column("deliveries", sa.Column("stem", sa.String, nullable=True))
    op.add_column("deliveries", sa.Column("headers", sa.JSON, nullable=True))
