"""Uploads, splits, webhooks, workers and the models that they have."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From accounts and credits alone."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "installed_models",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("seen_at", time, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_installed_models"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("until", time, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", time, nullable=False),
        sa.Column("seen_at", time, nullable=False),
        sa.Column("stopping", sa.Boolean, nullable=False),
        sa.Column("busy_seconds", sa.Double, nullable=False),
        sa.Column("audio_seconds", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_index("ix_workers_seen_at", "workers", ["seen_at"])
    op.create_table(
        "events",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("key_id", sa.String, nullable=False),
        sa.Column("split_id", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_events_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("split_id", name="uq_events_split_id"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_idempotency_keys_account_id"
        ),
        sa.PrimaryKeyConstraint("account_id", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "splits",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("key_id", sa.String, nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("stem_model", sa.String, nullable=False),
        sa.Column("output_format", sa.String, nullable=False),
        sa.Column("stems", sa.JSON, nullable=False),
        sa.Column("upload_id", sa.String),
        sa.Column("input_url", sa.String),
        sa.Column("webhook_url", sa.String),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("served_by", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("duration_seconds", sa.Double, nullable=False),
        sa.Column("sample_rate", sa.Integer),
        sa.Column("credits_used", sa.Integer, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.String),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("stored_attempt", sa.Integer),
        sa.Column("error_code", sa.String),
        sa.Column("error_message", sa.String),
        sa.Column("created_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sa.Column("started_at", time),
        sa.Column("finished_at", time),
        sa.Column("expires_at", time),
        sa.Column("swept_at", time),
        sa.Column("deleted_at", time),
        sa.CheckConstraint(
            "status IN ('queued', 'processing', 'succeeded', 'failed')",
            name=op.f("ck_splits_status"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_splits_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_splits"),
    )
    op.create_index("ix_splits_account_id_id", "splits", ["account_id", "id"])
    op.create_index("ix_splits_account_id_status_turn", "splits", ["account_id", "status", "turn"])
    op.create_index("ix_splits_swept_at_expires_at", "splits", ["swept_at", "expires_at"])
    op.create_index("ix_splits_status_turn", "splits", ["status", "turn"])
    op.create_index("ix_splits_upload_id", "splits", ["upload_id"])
    op.create_index("ix_splits_worker_id", "splits", ["worker_id"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("key_id", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("content_type", sa.String, nullable=False),
        sa.Column("content_length", sa.BigInteger, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
        sa.Column("stored_at", time),
        sa.Column("measured_at", time),
        sa.Column("duration_seconds", sa.Double),
        sa.Column("sample_rate", sa.Integer),
        sa.Column("fault_code", sa.String),
        sa.Column("fault_message", sa.String),
        sa.Column("deleted_at", time),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_uploads_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_account_id", "uploads", ["account_id"])
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"])
    op.create_table(
        "webhook_receivers",
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("failing_since", time),
        sa.Column("disabled_at", time),
        sa.Column("disabled_reason", sa.String),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_webhook_receivers_account_id"
        ),
        sa.PrimaryKeyConstraint("account_id", "url", name="pk_webhook_receivers"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("account_id", sa.String, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("created_at", time, nullable=False),
        sa.Column("next_attempt_at", time),
        sa.Column("finished_at", time),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'failed')", name=op.f("ck_deliveries_state")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_deliveries_account_id"),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_deliveries_event_id"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_account_id_id", "deliveries", ["account_id", "id"])
    op.create_index("ix_deliveries_event_id", "deliveries", ["event_id"])
    op.create_index(
        "ix_deliveries_state_next_attempt_at", "deliveries", ["state", "next_attempt_at"]
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("started_at", time, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("latency_seconds", sa.Double),
        sa.Column("excerpt", sa.String),
        sa.Column("error", sa.String),
        sa.Column("next_attempt_at", time),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_delivery_attempts_delivery_id"
        ),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="pk_delivery_attempts"),
    )
    with op.batch_alter_table("api_keys") as keys:
        keys.add_column(sa.Column("sealed_previous_secret", sa.LargeBinary))
        keys.add_column(sa.Column("previous_secret_until", time))
        keys.add_column(
            sa.Column("top_priority", sa.String, server_default="interactive", nullable=False)
        )
