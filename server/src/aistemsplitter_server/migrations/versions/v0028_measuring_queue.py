"""When workers measure uploads that clients have sent to the bucket."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Add a column that a previous version does not know; its API measures such uploads itself."""
    op.add_column("uploads", sa.Column("measure_at", sa.DateTime(timezone=True), nullable=True))
    queued = sa.text("measure_at IS NOT NULL")
    op.create_index(
        "ix_uploads_to_measure",
        "uploads",
        ["account_id", "measure_at"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
