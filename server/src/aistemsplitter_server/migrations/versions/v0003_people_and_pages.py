"""People who sign in, links, shares, what the player hears, and purchases."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From the API alone."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "people",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("email", sa.String, nullable=False),
        sa.Column("password_hash", sa.String, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_people_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("email", name="uq_people_email"),
    )
    op.create_index("ix_people_account_id", "people", ["account_id"])
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("person_id", sa.String, nullable=False),
        sa.Column("user_agent", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("seen_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="fk_sign_ins_person_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sign_ins"),
        sa.UniqueConstraint("digest", name="uq_sign_ins_digest"),
    )
    op.create_index("ix_sign_ins_person_id", "sign_ins", ["person_id"])
    op.create_index("ix_sign_ins_expires_at", "sign_ins", ["expires_at"])
    op.create_table(
        "links",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("person_id", sa.String),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
        sa.Column("used_at", time),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_links_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_links"),
        sa.UniqueConstraint("digest", name="uq_links_digest"),
    )
    op.create_index("ix_links_account_id", "links", ["account_id"])
    op.create_table(
        "listening",
        sa.Column("split_id", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("requested_at", time, nullable=False),
        sa.Column("ready_at", time),
        sa.Column("reason", sa.String),
        sa.ForeignKeyConstraint(["split_id"], ["splits.id"], name="fk_listening_split_id"),
        sa.PrimaryKeyConstraint("split_id", name="pk_listening"),
    )
    op.create_table(
        "shares",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("split_id", sa.String, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
        sa.Column("revoked_at", time),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_shares_account_id"),
        sa.ForeignKeyConstraint(["split_id"], ["splits.id"], name="fk_shares_split_id"),
        sa.PrimaryKeyConstraint("id", name="pk_shares"),
        sa.UniqueConstraint("digest", name="uq_shares_digest"),
    )
    op.create_index("ix_shares_split_id", "shares", ["split_id"])
    op.create_table(
        "purchases",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("minutes", sa.Integer, nullable=False),
        sa.Column("amount", sa.Integer, nullable=False),
        sa.Column("currency", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reference", sa.String),
        sa.Column("created_at", time, nullable=False),
        sa.Column("paid_at", time),
        sa.CheckConstraint("state IN ('pending', 'paid')", name=op.f("ck_purchases_state")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_purchases_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_purchases"),
        sa.UniqueConstraint("reference", name="uq_purchases_reference"),
    )
    op.create_index("ix_purchases_account_id", "purchases", ["account_id"])
