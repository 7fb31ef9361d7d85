"""An index of each account's songs that expire."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
KEPT = sa.text("swept_at IS NULL AND deleted_at IS NULL")


def upgrade() -> None:
    """Add the index. The studio counts these songs, and read those of all accounts to do so."""
    op.create_index(
        "ix_splits_expiring",
        "splits",
        ["account_id", "status", "swept_at", "deleted_at", "expires_at"],
        sqlite_where=KEPT,
        postgresql_where=KEPT,
    )
