"""Fingerprints of the secret and the storage, and of the secret that hashed each API key."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the table and a column that a previous version does not set."""
    op.create_table(
        "fingerprints",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("value", sa.String, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_fingerprints"),
    )
    op.add_column("api_keys", sa.Column("digest_secret", sa.String, nullable=True))
