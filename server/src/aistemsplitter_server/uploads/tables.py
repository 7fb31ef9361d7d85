"""The table of uploads."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime

LIVE = "deleted_at IS NULL"
UNSWEPT = "deleted_at IS NOT NULL AND swept_at IS NULL"


class Upload(Base):
    """An upload: ``stored_at`` is set once its bytes are whole, ``measured_at`` once decoded.

    ``fault_code`` and ``fault_message`` say why the file is not audio that can be split.
    """

    __tablename__ = "uploads"
    __table_args__ = (
        Index(
            "ix_uploads_live_expires_at",
            "expires_at",
            sqlite_where=text(LIVE),
            postgresql_where=text(LIVE),
        ),
        Index(
            "ix_uploads_unswept",
            "deleted_at",
            sqlite_where=text(UNSWEPT),
            postgresql_where=text(UNSWEPT),
        ),
        Index(
            "ix_uploads_listed",
            "account_id",
            "is_test",
            "id",
            sqlite_where=text(LIVE),
            postgresql_where=text(LIVE),
        ),
        Index("ix_uploads_idempotency_key", "account_id", "idempotency_key", unique=True),
        # An account's uploads that count against its limits.
        Index(
            "ix_uploads_open",
            "account_id",
            "expires_at",
            sqlite_where=text("stored_at IS NULL AND deleted_at IS NULL"),
            postgresql_where=text("stored_at IS NULL AND deleted_at IS NULL"),
        ),
        Index(
            "ix_uploads_kept",
            "account_id",
            "content_length",
            sqlite_where=text("deleted_at IS NULL AND fault_code IS NULL"),
            postgresql_where=text("deleted_at IS NULL AND fault_code IS NULL"),
        ),
        Index(
            "ix_uploads_to_measure",
            "account_id",
            "measure_at",
            sqlite_where=text("measure_at IS NOT NULL"),
            postgresql_where=text("measure_at IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    key_id: Mapped[str]
    is_test: Mapped[bool] = mapped_column(server_default=false(), default=False)
    idempotency_key: Mapped[str | None]
    filename: Mapped[str]
    content_type: Mapped[str]
    content_length: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    # of the permission to write, then of the file
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    # when its presigned URL of the bucket expires; None if the bytes are sent to the service
    direct_until: Mapped[datetime | None] = mapped_column(UtcTime)
    stored_at: Mapped[datetime | None] = mapped_column(UtcTime)
    # by which the storage knows the bytes that have arrived, if it needs one
    partial_token: Mapped[str | None]
    # when a worker should measure it; None if the API does, or it is measured
    measure_at: Mapped[datetime | None] = mapped_column(UtcTime)
    measured_at: Mapped[datetime | None] = mapped_column(UtcTime)
    duration_seconds: Mapped[float | None]
    sample_rate: Mapped[int | None]
    fault_code: Mapped[str | None]
    fault_message: Mapped[str | None]
    deleted_at: Mapped[datetime | None] = mapped_column(UtcTime)  # from then on no split may use it
    swept_at: Mapped[datetime | None] = mapped_column(UtcTime)  # when its bytes were deleted
