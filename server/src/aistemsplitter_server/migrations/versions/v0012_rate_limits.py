"""Rate limits that all processes share."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Replace a table that no version has used; on SQLite the limits are in a file of their own."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.drop_table("request_counts")
    op.create_table(
        "rate_limits",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("whole_at", sa.Double, nullable=False),
        prefixes=["UNLOGGED"],  # after a crash it may be empty, and no commit waits for the disk
    )
