"""Options of a split beyond its model, stems and format."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Add a column that a previous version does not set."""
    op.add_column("splits", sa.Column("options", sa.JSON, nullable=True))
