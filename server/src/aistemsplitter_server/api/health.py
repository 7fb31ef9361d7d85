"""For those who watch the process: is it alive, can it work."""

from __future__ import annotations

import logging
from typing import Literal

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.api.context import InContext, InStorage
from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.kit import migrate, times
from aistemsplitter_server.kit.errors import Unavailable
from aistemsplitter_server.kit.migrate import NotMigrated
from aistemsplitter_server.kit.schemas import Response, Success
from aistemsplitter_server.worker.tables import DEAD_AFTER, FAULT_SHOWN_FOR, Worker, WorkerFault

router = APIRouter()
logger = logging.getLogger(__name__)


class Health(Response):
    """That it answers says it all."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Success[Health]:
    """Alive: the process answers."""
    return Success(data=Health())


@router.get("/readyz", responses=errors(Unavailable))
def readyz(context: InContext, storage: InStorage) -> Success[Health]:
    """Ready: the database is there and up to date, the storage takes files, a worker is alive."""
    try:
        migrate.check(context.database)
        with context.database.reading() as connection:
            alive = Worker.seen_at >= times.now() - DEAD_AFTER
            worker = connection.scalar(select(Worker.id).where(alive).limit(1))
            recent = WorkerFault.happened_at >= times.now() - FAULT_SHOWN_FOR
            newest = WorkerFault.happened_at.desc()
            fault = connection.scalar(
                select(WorkerFault.reason).where(recent).order_by(newest).limit(1)
            )
    except NotMigrated:
        raise Unavailable("The database is not up to date.") from None
    except SQLAlchemyError:
        raise Unavailable("The database cannot be reached.") from None
    try:
        storage.check()
    except OSError as error:
        logger.error("the storage cannot be written: %s", error)
        raise Unavailable("The storage cannot be written.") from None
    if worker is None:
        why = "" if fault is None else f" The last one could not start: {fault}"
        raise Unavailable(f"No worker is alive.{why}")
    return Success(data=Health())
