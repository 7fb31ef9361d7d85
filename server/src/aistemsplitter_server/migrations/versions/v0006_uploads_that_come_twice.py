"""A reservation that is asked for again with its key is the same upload."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """From the index of ended splits."""
    op.add_column("uploads", sa.Column("idempotency_key", sa.String))
    op.create_index(
        "ix_uploads_idempotency_key", "uploads", ["account_id", "idempotency_key"], unique=True
    )
