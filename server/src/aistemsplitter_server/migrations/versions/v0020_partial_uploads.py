"""The token of an upload that is being received in parts, on object storage."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the column; a previous version does not know it."""
    op.add_column("uploads", sa.Column("partial_token", sa.String))
