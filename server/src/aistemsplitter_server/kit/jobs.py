"""Durable jobs: enqueued in the caller's own transaction, run by workers.

DBOS keeps the queue in our database, in tables of its own (which Alembic ignores). A job is a name,
JSON arguments and an id, and it runs at least once. A worker can die at any moment, and then the
job starts over: so a job first checks its own rows for what is left to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import job_kinds
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.job_kinds import Kinds

if TYPE_CHECKING:
    from dbos import DBOS, DBOSClient
    from dbos import Queue as DbosQueue

NAME = "aistemsplitter"
# Of the jobs' names and arguments. By default DBOS hashes the source, and after an upgrade ignores
# jobs that an older version has queued.
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue that workers listen to.

    ``at_once`` is how many of its jobs this process runs at a time, which may be another number in
    other processes, and ``poll_seconds`` how often an idle worker polls. ``kinds`` returns the
    kinds of jobs that this process can run; without it, the queue's jobs have no kinds.
    """

    name: str
    at_once: int
    poll_seconds: float = 1.0
    kinds: Kinds | None = None


def migrate(database: Database) -> None:
    """Create or upgrade the queue's tables. Several processes may do so at the same time."""
    from dbos import DBOS

    _quiet()
    # By URL: on our engine, its BEGIN would be one within a transaction.
    DBOS.migrate(database.engine.url.render_as_string(hide_password=False))


def is_table(name: str | None) -> bool:
    """Return whether a table is the queue's. On SQLite they are among ours."""
    from dbos._schemas.system_database import SystemSchema

    tables = SystemSchema.metadata_obj.tables.values()
    return name in {"dbos_migrations", *(table.name for table in tables)}


def preload() -> None:
    """Import DBOS in a thread.

    It takes some tenths of a second, which the API's start should not wait for, and the first
    split, which holds SQLite's write lock, even less.
    """
    threading.Thread(target=import_module, args=("dbos",), name="preload", daemon=True).start()


def enqueue(
    session: Session,
    name: str,
    *args: Any,
    queue: str,
    job_id: str,
    delay_seconds: float = 0,
    priority: int | None = None,
    kind: str | None = None,
) -> None:
    """Enqueue a job. It exists once the session's transaction commits.

    Enqueueing an id again changes nothing.

    Args:
        session: A unit of work; nothing is committed here.
        name: The job's name, known to workers.
        args: Arguments that JSON can hold.
        delay_seconds: Do not run the job earlier; it may start some seconds later.
        priority: From 1, lower ones first. Jobs without one come before all.
        kind: Only workers that can run this kind begin the job.
    """
    from dbos import EnqueueOptions

    options: EnqueueOptions = {
        "workflow_name": name,
        "queue_name": queue,
        "workflow_id": job_id,
        "app_version": VERSION,
    }
    if delay_seconds > 0:
        options["delay_seconds"] = delay_seconds
    if priority is not None:
        options["priority"] = priority
    if kind is not None:
        options["queue_partition_key"] = kind
    client = _client(session.get_bind().engine)
    client.enqueue_in_transaction(session.connection(), options, *args)


@contextmanager
def working(
    database: Database,
    executor_id: str,
    jobs: Mapping[str, Callable[..., None]],
    queues: Sequence[Queue],
) -> Iterator[None]:
    """Run jobs from the queues in threads of this process until the block ends.

    Only once per process at a time. At the end no new job is begun. Jobs still running are not
    waited for, and count as left behind.

    Args:
        executor_id: Unique for every process, or two would run each other's jobs.
        jobs: Functions by job name. An exception ends a job for good.
    """
    from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

    _quiet()
    config: DBOSConfig = {
        "name": NAME,
        "system_database_engine": database.writers,
        "serializer": DBOSPortableJSONSerializer(),
        "application_version": VERSION,
        "executor_id": executor_id,
        "run_migrations": False,
        "enable_otlp": False,
        "log_level": "WARNING",
    }
    dbos = DBOS(config=config)
    try:
        for name, run in jobs.items():
            DBOS.workflow(name=name, max_recovery_attempts=None)(_function(run))
        DBOS.listen_queues([queue.name for queue in queues])
        DBOS.launch()
        _limit_this_process(dbos, queues)
        kinds = {queue.name: queue.kinds for queue in queues if queue.kinds is not None}
        job_kinds.begin_only(dbos, database, kinds)
        for queue in queues:
            DBOS.register_queue(
                queue.name,
                worker_concurrency=1,  # until a process applies its own limit
                polling_interval_sec=queue.poll_seconds,
                on_conflict="always_update",
            )
        yield
    finally:
        DBOS.destroy(destroy_registry=True)


def begun() -> list[tuple[str, str]]:
    """Return id and executor of the jobs in progress. Within :func:`working` only."""
    from dbos import DBOS

    found = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    return [(job.workflow_id, job.executor_id or "") for job in found]


def under_way(job_ids: Sequence[str]) -> set[str]:
    """Return which of these jobs are queued or in progress. Within :func:`working` only.

    Looks each up by its id, so the cost does not grow with the number of jobs.
    """
    from dbos import DBOS

    if not job_ids:
        return set()
    found = DBOS.list_workflows(
        workflow_ids=list(job_ids),
        status=["ENQUEUED", "DELAYED", "PENDING"],
        load_input=False,
        load_output=False,
    )
    return {job.workflow_id for job in found}


def forget_ended(before: datetime, limit: int) -> int:
    """Delete some jobs that ended before a time, and return how many.

    Within :func:`working` only.
    """
    from dbos import DBOS

    found = DBOS.list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED"],
        completed_before=before.isoformat(),
        limit=limit,
        load_input=False,
        load_output=False,
    )
    if found:
        DBOS.delete_workflows([job.workflow_id for job in found])
    return len(found)


def retire(queues: Sequence[str], at_once: int = 500) -> None:
    """Delete the jobs in queues that workers no longer listen to.

    Within :func:`working` only.
    """
    from dbos import DBOS

    while found := DBOS.list_workflows(
        queue_name=list(queues),
        status=["ENQUEUED", "DELAYED"],
        limit=at_once,
        load_input=False,
        load_output=False,
    ):
        DBOS.delete_workflows([job.workflow_id for job in found])


def requeue(job_id: str) -> None:
    """Requeue a job that a dead executor left behind.

    Within :func:`working` only. A job whose executor is alive would run twice.
    """
    from dbos import DBOS

    status = DBOS.get_workflow_status(job_id)
    if status is not None and status.status == "PENDING":
        DBOS.resume_workflow(job_id, queue_name=status.queue_name)


def _limit_this_process(dbos: DBOS, queues: Sequence[Queue]) -> None:
    """Apply the limits of the queues to this process, whatever other processes apply.

    DBOS keeps a queue's ``worker_concurrency`` in the database, and each process reads it before
    it polls: all would apply the limit of the process that started last. There is no setting for a
    single process, so what this one reads is changed.
    """
    limits = {queue.name: queue.at_once for queue in queues}
    system = dbos._sys_db
    stored = system.get_queue

    def get_queue(name: str, **options: Any) -> DbosQueue | None:
        queue = stored(name, **options)
        if queue is not None and name in limits:
            queue._worker_concurrency = limits[name]
        return queue

    system.get_queue = get_queue  # type: ignore[method-assign]  # for this process only


def _function(run: Callable[..., None]) -> Callable[..., None]:
    """Return a plain function. DBOS sets attributes on jobs, which methods do not allow."""

    def job(*args: Any) -> None:
        run(*args)

    return job


@lru_cache(maxsize=4)
def _client(engine: Engine) -> DBOSClient:
    """Return a client that enqueues jobs on the caller's connection and opens none itself."""
    from dbos import DBOSClient, DBOSPortableJSONSerializer

    return DBOSClient(
        system_database_engine=engine,
        serializer=DBOSPortableJSONSerializer(),
        application_name=NAME,
        lazy=True,
    )


def _quiet() -> None:
    import logging

    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)
    if not logger.handlers:  # otherwise DBOS adds one of its own, which bypasses our format
        logger.addHandler(logging.NullHandler())
