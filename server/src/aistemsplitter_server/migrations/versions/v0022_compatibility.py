"""The oldest version that works with the schema."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the table; a previous version does not know it."""
    op.create_table(
        "schema_compatibility",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("works_from", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_schema_compatibility"),
    )
