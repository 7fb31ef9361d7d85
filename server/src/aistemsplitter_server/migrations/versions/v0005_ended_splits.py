"""What was done, by hour and day, without reading every split."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """From the settings for developers."""
    op.create_index(
        "ix_splits_ended", "splits", ["status", "finished_at", "error_code", "duration_seconds"]
    )
