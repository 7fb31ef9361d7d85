"""Accounts, API keys and the ledger of credits."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """From an empty database."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "accounts",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("is_owner", sa.Boolean, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_index(
        "uq_accounts_owner",
        "accounts",
        ["is_owner"],
        unique=True,
        sqlite_where=sa.text("is_owner"),
        postgresql_where=sa.text("is_owner"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("sealed_webhook_secret", sa.LargeBinary, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("expires_at", time),
        sa.Column("last_used_at", time),
        sa.Column("revoked_at", time),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_api_keys_account_id"),
    )
    op.create_index("ix_api_keys_account_id", "api_keys", ["account_id"])
    op.create_table(
        "credit_entries",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
        sa.Column("balance", sa.Integer, nullable=False),
        sa.Column("split_id", sa.String),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credit_entries"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_credit_entries_account_id"
        ),
        sa.UniqueConstraint("account_id", "number", name="uq_credit_entries_account_id_number"),
        sa.UniqueConstraint("split_id", "kind", name="uq_credit_entries_split_id_kind"),
        sa.CheckConstraint("balance >= 0", name=op.f("ck_credit_entries_balance_not_negative")),
        sa.CheckConstraint(
            "(kind = 'grant' AND seconds > 0 AND split_id IS NULL)"
            " OR (kind = 'charge' AND seconds < 0 AND split_id IS NOT NULL)"
            " OR (kind = 'refund' AND seconds > 0 AND split_id IS NOT NULL)",
            name=op.f("ck_credit_entries_kind"),
        ),
    )
