"""The previous API key of one that was replaced, which is accepted for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add two columns that a previous version does not know; it refuses previous keys."""
    op.add_column("api_keys", sa.Column("previous_digest", sa.LargeBinary, nullable=True))
    op.add_column("api_keys", sa.Column("previous_digest_until", sa.DateTime(True), nullable=True))
