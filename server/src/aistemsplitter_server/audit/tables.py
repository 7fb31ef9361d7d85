"""The table of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime


class AuditEntry(Base):
    """An action. Entries are only added, and deleted after the retention time.

    ``account_id`` is the account that the action affects, None for a failed sign-in with an unknown
    email address. For ``actor`` see ``service.py``; ``target`` is the id of what was changed.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_account_id_id", "account_id", "id"),
        Index("ix_audit_entries_action_id", "action", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id"))
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
