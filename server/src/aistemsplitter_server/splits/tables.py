"""The tables of splits and of what makes their creation idempotent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime, partial_index

QUEUED, PROCESSING, SUCCEEDED, FAILED = "queued", "processing", "succeeded", "failed"
TERMINAL = (SUCCEEDED, FAILED)
# The condition of a partial index; a query has to repeat it literally to use the index.
COPIES_QUEUED = text("state = 'queued'")
UNERASED = text("deleted_at IS NOT NULL AND erased_at IS NULL")


class Split(Base):
    """One song to be split, being split, or done with.

    ``attempt`` is the number of the newest one who has begun it; who finishes must still be that.
    ``failures`` counts those who began and did not bring it to an end.
    ``turn`` is its place in the queue, lower first. ``revision`` grows with every change that a
    reader can see. ``credits_used`` is what is charged now: 0 again after a refund.

    ``fetch_at`` is when the song is to be fetched, and NULL once that is not to be done any more.
    While it is being fetched, this is when another worker tries unless the first one renews it.
    """

    __tablename__ = "splits"
    __table_args__ = (
        CheckConstraint("status IN ('queued', 'processing', 'succeeded', 'failed')", name="status"),
        Index("ix_splits_account_id_id", "account_id", "id"),
        Index("ix_splits_account_id_is_test_id", "account_id", "is_test", "id"),
        partial_index(
            "ix_splits_of_status", ["account_id", "is_test", "status", "id"], "deleted_at IS NULL"
        ),
        # The queue is sorted and summed up from these alone, however many splits have ended.
        partial_index("ix_splits_queue", ["turn", "id"], "status = 'queued'"),
        partial_index(
            "ix_splits_queue_of_account",
            ["account_id", "turn", "duration_seconds"],
            "status = 'queued'",
        ),
        partial_index(
            "ix_splits_queue_by_model",
            ["served_by", "is_test", "duration_seconds"],
            "status = 'queued'",
        ),
        # SQLite takes it for the first column's sake, and would scan the table without that.
        partial_index(
            "ix_splits_processing", ["status", "account_id", "turn"], "status = 'processing'"
        ),
        Index("ix_splits_swept_at_expires_at", "swept_at", "expires_at"),
        Index(
            "ix_splits_retry_of",
            "retry_of",
            sqlite_where=text("retry_of IS NOT NULL"),
            postgresql_where=text("retry_of IS NOT NULL"),
        ),
        Index(
            "ix_splits_unerased",
            "deleted_at",
            sqlite_where=UNERASED,
            postgresql_where=UNERASED,
        ),
        # What was done in a month is counted from this alone, without reading a row.
        partial_index(
            "ix_splits_ended",
            ["status", "finished_at", "error_code", "duration_seconds"],
            "finished_at IS NOT NULL",
        ),
        # Of an account's splits, those that count against its limits.
        partial_index("ix_splits_queued", ["account_id", "is_test"], "status = 'queued'"),
        partial_index(
            "ix_splits_stored",
            ["account_id", "stored_bytes"],
            "stored_bytes > 0 AND swept_at IS NULL AND deleted_at IS NULL",
        ),
        # The queue of fetches.
        partial_index(
            "ix_splits_account_id_fetch_at", ["account_id", "fetch_at"], "fetch_at IS NOT NULL"
        ),
        partial_index("ix_splits_unfinished", ["id"], "finished_at IS NULL"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    key_id: Mapped[str]
    is_test: Mapped[bool]
    status: Mapped[str]
    revision: Mapped[int]
    # What was asked for.
    stem_model: Mapped[str]  # the name that was sent
    output_format: Mapped[str]
    stems: Mapped[list[str]] = mapped_column(JSON)
    upload_id: Mapped[str | None] = mapped_column(index=True)
    input_url: Mapped[str | None]
    webhook_url: Mapped[str | None]
    split_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    retry_of: Mapped[str | None]  # the failed split that this one tries again
    # What is known of it.
    served_by: Mapped[str]  # the model that runs
    filename: Mapped[str]
    duration_seconds: Mapped[float]
    sample_rate: Mapped[int | None]
    credits_used: Mapped[int]
    warnings: Mapped[list[str]] = mapped_column(JSON)
    # The work on it.
    turn: Mapped[int]
    attempt: Mapped[int]
    failures: Mapped[int]
    worker_id: Mapped[str | None] = mapped_column(index=True)
    fetch_at: Mapped[datetime | None] = mapped_column(UtcTime)
    progress: Mapped[float]
    # Its end.
    stored_attempt: Mapped[int | None]  # under whose prefix the stems lie
    # Of stems and listening copies; until they are stored, the room reserved for the stems.
    stored_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    gain: Mapped[float | None]  # by which all of them were turned down to stay within full scale
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcTime)  # of the stems
    swept_at: Mapped[datetime | None] = mapped_column(UtcTime)  # the stems are deleted
    deleted_at: Mapped[datetime | None] = mapped_column(UtcTime)  # by its owner
    # Names, addresses and metadata are erased, from its finished deliveries too.
    erased_at: Mapped[datetime | None] = mapped_column(UtcTime)

    def can_be_heard(self, now: datetime) -> bool:
        """Whether its stems are there and its owner has not deleted it."""
        expired = self.expires_at is None or self.expires_at <= now
        return self.status == SUCCEEDED and self.deleted_at is None and not expired


# Written out in the statement, since a database cannot tell that a parameter matches the
# condition of a partial index.
IS_QUEUED = Split.status == literal_column(f"'{QUEUED}'")
IS_PROCESSING = Split.status == literal_column(f"'{PROCESSING}'")


class IdempotencyKey(Base):
    """A request that succeeded, so that it is answered alike when it comes again."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]  # SHA-256 of the body
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class Listening(Base):
    """What the player hears of a split: made once, when someone wants to listen."""

    __tablename__ = "listening"
    __table_args__ = (
        Index(
            "ix_listening_queued",
            "split_id",
            sqlite_where=COPIES_QUEUED,
            postgresql_where=COPIES_QUEUED,
        ),
    )

    split_id: Mapped[str] = mapped_column(ForeignKey("splits.id"), primary_key=True)
    attempt: Mapped[int]  # under whose prefix it lies
    state: Mapped[str]  # queued, ready or failed
    requested_at: Mapped[datetime] = mapped_column(UtcTime)
    ready_at: Mapped[datetime | None] = mapped_column(UtcTime)
    reason: Mapped[str | None]


class Share(Base):
    """A link by which anyone may listen to a split until it expires."""

    __tablename__ = "shares"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    split_id: Mapped[str] = mapped_column(ForeignKey("splits.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTime)
