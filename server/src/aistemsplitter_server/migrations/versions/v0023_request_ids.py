"""The id of the request that created a split, for the worker's log."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add a column that a previous version does not set."""
    op.add_column("splits", sa.Column("request_id", sa.String, nullable=True))
