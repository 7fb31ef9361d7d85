"""The models that each worker can run, and the device that it runs them on."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    """Add two columns that a previous version does not know."""
    op.add_column("workers", sa.Column("device", sa.String, nullable=True))
    op.add_column("workers", sa.Column("models", sa.JSON, nullable=True))
