"""Withdrawals of credits, and payments that were returned."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"

KIND = (
    "(kind = 'grant' AND seconds > 0 AND split_id IS NULL)"
    " OR (kind = 'withdrawal' AND seconds < 0 AND split_id IS NULL)"
    " OR (kind = 'charge' AND seconds < 0 AND split_id IS NOT NULL)"
    " OR (kind = 'refund' AND seconds > 0 AND split_id IS NOT NULL)"
)


def upgrade() -> None:
    """Allow a kind of entry that a previous version does not make, and add columns."""
    name = op.f("ck_credit_entries_kind")
    with op.batch_alter_table("credit_entries") as entries:
        entries.drop_constraint(name, type_="check")
        entries.create_check_constraint(name, KIND)
    for column in ("returned_amount", "withdrawn_seconds"):
        op.add_column(
            "purchases", sa.Column(column, sa.Integer, nullable=False, server_default="0")
        )
    op.add_column("purchases", sa.Column("returned_at", sa.DateTime(True), nullable=True))
