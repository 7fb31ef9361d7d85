"""Uploads that clients send to the bucket themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add a column that a previous version does not set."""
    op.add_column("uploads", sa.Column("direct_until", sa.DateTime(timezone=True), nullable=True))
