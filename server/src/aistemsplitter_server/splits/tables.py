"""The tables of splits, their copies, links and players' states, and of idempotency keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime, partial_index

QUEUED, PROCESSING, SUCCEEDED, FAILED = "queued", "processing", "succeeded", "failed"
TERMINAL = (SUCCEEDED, FAILED)
EXTENSIONS = {"alac": "m4a"}  # of files of other formats, their names
# Conditions of partial indexes. A query has to repeat one literally to use its index.
COPIES_QUEUED = text("state = 'queued'")
UNERASED = text("deleted_at IS NOT NULL AND erased_at IS NULL")


class Split(Base):
    """A split: queued, processing, succeeded or failed.

    ``attempt`` is the number of the newest attempt, the only one that may change the split.
    ``failures`` counts attempts that began, got no further than those before, and did not end it.
    ``turn`` is its place in the queue, lower first. ``revision`` grows with every visible change.
    ``credits_used`` is what is charged now: 0 again after a refund.

    ``fetch_at`` is when the song is to be fetched, and NULL once it needs no fetching. During a
    fetch it is when another worker tries, unless the first one renews it.
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
        # An account's songs that expire soon, counted without reading a row.
        partial_index(
            "ix_splits_expiring",
            ["account_id", "status", "swept_at", "deleted_at", "expires_at"],
            "swept_at IS NULL AND deleted_at IS NULL",
        ),
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
        # The splits of a month are counted from this alone, without reading a row.
        partial_index(
            "ix_splits_ended",
            ["status", "finished_at", "error_code", "duration_seconds"],
            "finished_at IS NOT NULL",
        ),
        # An account's splits that count against its limits.
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
    # The request.
    stem_model: Mapped[str]  # as it was sent
    output_format: Mapped[str]
    stems: Mapped[list[str]] = mapped_column(JSON)
    upload_id: Mapped[str | None] = mapped_column(index=True)
    input_url: Mapped[str | None]
    webhook_url: Mapped[str | None]
    output: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # see ``outputs.py``
    # Those chosen, by their names in the API; see ``options.py``.
    options: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    split_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    request_id: Mapped[str | None]  # of the request that created it, for logs
    retry_of: Mapped[str | None]  # the failed split that this one retries
    # The song and its price.
    served_by: Mapped[str]  # the model that runs
    filename: Mapped[str]
    duration_seconds: Mapped[float]
    sample_rate: Mapped[int | None]
    credits_used: Mapped[int]
    warnings: Mapped[list[str]] = mapped_column(JSON)
    # Its processing.
    turn: Mapped[int]
    attempt: Mapped[int]
    failures: Mapped[int]
    worker_id: Mapped[str | None] = mapped_column(index=True)
    fetch_at: Mapped[datetime | None] = mapped_column(UtcTime)
    progress: Mapped[float]
    furthest: Mapped[float] = mapped_column(server_default="0", default=0.0)  # of all attempts
    # Its end.
    stored_attempt: Mapped[int | None]  # whose prefix the stems are stored under
    # Of stems and listening copies; before they are stored, the room reserved for the stems.
    stored_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    gain: Mapped[float | None]  # factor that all stems were multiplied by to stay within full scale
    analysis: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # All beats, thousands for a long song; see `analysis.Grid`.
    grid: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcTime)  # of the stems
    swept_at: Mapped[datetime | None] = mapped_column(UtcTime)  # when the stems were deleted
    deleted_at: Mapped[datetime | None] = mapped_column(UtcTime)  # by its owner
    # When names, URLs and metadata were erased, also from its deliveries.
    erased_at: Mapped[datetime | None] = mapped_column(UtcTime)

    @property
    def extension(self) -> str:
        """The extension of its stems' files."""
        return EXTENSIONS.get(self.output_format, self.output_format)

    def can_be_heard(self, now: datetime) -> bool:
        """Return whether its stems are stored and its owner has not deleted it."""
        expired = self.expires_at is None or self.expires_at <= now
        return self.status == SUCCEEDED and self.deleted_at is None and not expired


# Literals, since a database cannot tell that a parameter matches a partial index's condition.
IS_QUEUED = Split.status == literal_column(f"'{QUEUED}'")
IS_PROCESSING = Split.status == literal_column(f"'{PROCESSING}'")


class IdempotencyKey(Base):
    """A request that succeeded, with the response for when it is repeated."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]  # SHA-256 of the body
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class Listening(Base):
    """The listening copies of a split, made once, when someone wants to listen."""

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
    attempt: Mapped[int]  # whose prefix they are stored under
    state: Mapped[str]  # queued, ready or failed
    requested_at: Mapped[datetime] = mapped_column(UtcTime)
    ready_at: Mapped[datetime | None] = mapped_column(UtcTime)
    reason: Mapped[str | None]


class PlayerState(Base):
    """What a person has set in the player of a split; see ``remembering.State``."""

    __tablename__ = "player_states"

    person_id: Mapped[str] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )
    split_id: Mapped[str] = mapped_column(ForeignKey("splits.id"), primary_key=True, index=True)
    state: Mapped[dict[str, Any]] = mapped_column(JSON)


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
