"""The reasons why workers could not start."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the table; a previous version does not know it."""
    op.create_table(
        "worker_faults",
        sa.Column("host", sa.String, nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_worker_faults"),
    )
