"""Tempo, key and beats of a split's song."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Add two columns that a previous version does not know."""
    op.add_column("splits", sa.Column("analysis", sa.JSON, nullable=True))
    op.add_column("splits", sa.Column("grid", sa.JSON, nullable=True))
