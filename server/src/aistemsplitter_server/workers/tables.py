"""The tables of workers, and of leases on what only one process may do at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime

DEAD_AFTER = timedelta(seconds=30)  # without a heartbeat
# since a worker that cannot start is restarted again and again
FAULT_SHOWN_FOR = timedelta(minutes=10)
SKEW = 2.0  # seconds by which the clocks of worker and database may differ
# A worker on the same machine is killed before that, where that is permitted.
KILLED_AFTER = 2 * DEAD_AFTER
DISK, MEMORY = "disk", "memory"
SHORTAGES = (DISK, MEMORY, "weights")  # the last only of workers of previous versions


class Worker(Base):
    """A worker process that sends heartbeats. One that stops normally deletes its row."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    seen_at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    stopping: Mapped[bool]
    busy_seconds: Mapped[float]  # spent on splits so far
    audio_seconds: Mapped[float]  # separated so far
    shortage: Mapped[str | None]  # what it lacks, so that it takes no songs
    shortage_reason: Mapped[str | None]
    version: Mapped[str | None]  # of aistemsplitter-server
    clock_skew: Mapped[float | None]  # seconds by which its clock is ahead of the database's
    device: Mapped[str | None]  # that it separates on, such as "cpu"
    # that it can run; None for a worker of a version that does not announce them
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))


class WorkerFault(Base):
    """Why the last worker that was started on a machine could not start."""

    __tablename__ = "worker_faults"

    host: Mapped[str] = mapped_column(primary_key=True)
    happened_at: Mapped[datetime] = mapped_column(UtcTime)
    reason: Mapped[str]


class Lease(Base):
    """A lease: what only one process at a time may do, until the lease expires."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    until: Mapped[datetime] = mapped_column(UtcTime)
