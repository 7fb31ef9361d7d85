"""The index of an account's uploads in the order of their ids."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add a partial index. A page of uploads would otherwise sort all of an account's."""
    live = sa.text("deleted_at IS NULL")
    op.create_index(
        "ix_uploads_listed",
        "uploads",
        ["account_id", "is_test", "id"],
        sqlite_where=live,
        postgresql_where=live,
    )
