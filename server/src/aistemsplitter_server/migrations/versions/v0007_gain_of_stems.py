"""What all stems of a split were multiplied with, so that the song is heard at their level."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """From uploads that come twice. Nobody knows it of older splits, nor do older workers tell."""
    op.add_column("splits", sa.Column("gain", sa.Double))
