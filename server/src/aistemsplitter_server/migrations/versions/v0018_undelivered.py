"""Indexes of the deliveries that have not succeeded."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add two partial indexes.

    Pages of failed deliveries, and their number, read all deliveries of an account or a service
    whose deliveries almost always succeed.
    """
    _partial("ix_deliveries_undelivered", ["account_id", "state", "id"], "state != 'delivered'")
    _partial("ix_deliveries_failed", ["state", "finished_at"], "state = 'failed'")


def _partial(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "deliveries", columns, sqlite_where=where, postgresql_where=where)
