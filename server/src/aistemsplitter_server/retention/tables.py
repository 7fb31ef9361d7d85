"""The tables of sweeps: when each ran, and what it could not delete."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime


class Sweep(Base):
    """A sweep, such as ``stems``: its last run, and its counts since the beginning."""

    __tablename__ = "sweeps"

    name: Mapped[str] = mapped_column(primary_key=True)
    ran_at: Mapped[datetime] = mapped_column(UtcTime)
    deleted: Mapped[int]
    failures: Mapped[int]
    error: Mapped[str | None]  # why the last run ended early


class SweepFailure(Base):
    """An item that a sweep could not delete. It is skipped until ``next_try_at``."""

    __tablename__ = "sweep_failures"
    __table_args__ = (Index("ix_sweep_failures_failed_at", "failed_at"),)

    sweep: Mapped[str] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[int]
    error: Mapped[str]  # names the path
    failed_at: Mapped[datetime] = mapped_column(UtcTime)
    next_try_at: Mapped[datetime] = mapped_column(UtcTime)
