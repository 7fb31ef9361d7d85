"""Kinds of jobs within a queue, so that a worker begins only those that it can run.

A job's kind is its partition key in DBOS, which has an index for it. DBOS itself lets every worker
begin jobs of all partitions, in random order. Here a worker begins, of the kinds that it can run,
the job that is next in the queue's order. However many jobs of other kinds wait, finding it costs
the same: one look into the index for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, column, literal, select, table, text, union_all, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import TableClause

from aistemsplitter_server.kit.database import Database

if TYPE_CHECKING:
    from dbos import DBOS
    from dbos import Queue as DbosQueue

Kinds = Callable[[], Sequence[str]]
# Repeats the condition of the index, which SQLite would not use otherwise.
IN_FLIGHT = text("status IN ('ENQUEUED', 'PENDING')")
WAITING = ("ENQUEUED", "DELAYED")
COLUMNS = (
    "workflow_uuid",
    "queue_name",
    "status",
    "queue_partition_key",
    "priority",
    "created_at",
)


def begin_only(dbos: DBOS, database: Database, kinds: Mapping[str, Kinds]) -> None:
    """Let this process begin only jobs of some kinds.

    Args:
        kinds: By the name of a queue, returns the kinds that this process can run now.
    """
    system = dbos._sys_db
    claim = system.start_queued_workflows

    def claim_next(
        queue: DbosQueue,
        executor_id: str,
        version: str,
        partition: str | None,
        running: int = 0,
        **options: Any,
    ) -> tuple[list[str], Any]:
        if queue.name not in kinds:
            return claim(queue, executor_id, version, partition, running, **options)
        claimed: list[str] = []
        most = queue._worker_concurrency or 1
        while running + len(claimed) < most:
            try:
                with database.read_connection() as connection:
                    kind = next_kind(connection, queue.name, kinds[queue.name]())
                if kind is None:
                    break
                found, _ = claim(queue, executor_id, version, kind, most - 1, **options)  # one job
            except SQLAlchemyError:
                if not claimed:
                    raise
                break  # DBOS starts only those claimed jobs that are returned
            if not found:  # another process was faster
                break
            claimed += found
        return claimed, None

    # DBOS has no setting for this, so its method is replaced.
    system.start_queued_workflows = claim_next  # type: ignore[method-assign,assignment]


def without_kind(session: Session, queue: str, limit: int) -> Sequence[str]:
    """Return the ids of some queued jobs without a kind, as earlier versions queue them."""
    jobs = _jobs(session.connection())
    found: list[str] = []
    # One after the other: there is an index for each state, and none for both.
    for state in (and_(jobs.c.status == "ENQUEUED", IN_FLIGHT), text("status = 'DELAYED'")):
        query = select(jobs.c.workflow_uuid).where(
            jobs.c.queue_name == queue, state, jobs.c.queue_partition_key.is_(None)
        )
        found += session.scalars(query.limit(limit - len(found)))
    return found


def set_kind(session: Session, job_ids: Sequence[str], kind: str) -> None:
    """Set the kind of queued jobs."""
    jobs = _jobs(session.connection())
    waiting = jobs.c.workflow_uuid.in_(job_ids), jobs.c.status.in_(WAITING)
    session.execute(update(jobs).where(*waiting).values(queue_partition_key=kind))


def next_kind(connection: Connection, queue: str, kinds: Sequence[str]) -> str | None:
    """Return the kind of the job of these kinds that is next in the queue; None if none waits."""
    jobs = _jobs(connection)
    order = jobs.c.priority, jobs.c.created_at
    heads = [
        select(literal(kind).label("kind"), *order)
        .where(
            jobs.c.queue_name == queue,
            jobs.c.status == "ENQUEUED",
            IN_FLIGHT,
            jobs.c.queue_partition_key == kind,
        )
        .order_by(*order)
        .limit(1)
        .subquery()
        for kind in kinds
    ]
    if not heads:
        return None
    found = connection.execute(union_all(*(select(head) for head in heads)))
    in_order = sorted(found, key=lambda head: (head.priority, head.created_at))
    return in_order[0].kind if in_order else None


def _jobs(connection: Connection) -> TableClause:
    """Return DBOS's table of jobs. Its own object has a schema that only its engine translates."""
    schema = None if connection.dialect.name == "sqlite" else "dbos"
    return table("workflow_status", *map(column, COLUMNS), schema=schema)
