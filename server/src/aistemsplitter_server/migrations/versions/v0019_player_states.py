"""The settings of the player, by person and split."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the table of players' states."""
    op.create_table(
        "player_states",
        sa.Column(
            "person_id",
            sa.String,
            sa.ForeignKey("people.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("split_id", sa.String, sa.ForeignKey("splits.id"), primary_key=True),
        sa.Column("state", sa.JSON, nullable=False),
    )
    op.create_index("ix_player_states_split_id", "player_states", ["split_id"])
