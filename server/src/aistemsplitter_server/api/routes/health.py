"""``/healthz`` and ``/readyz``, for monitoring."""

from __future__ import annotations

import logging
from typing import Literal

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.http.context import InContext, InStorage
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.installation.service import WrongInstallation
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import Unavailable
from aistemsplitter_server.kit.schemas import Response, Success
from aistemsplitter_server.migrations import migrate
from aistemsplitter_server.migrations.migrate import NotMigrated
from aistemsplitter_server.workers import queries as workers

router = APIRouter(tags=["health"])
logger = logging.getLogger(__name__)


class Health(Response):
    """The service is healthy; anything else is an error."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Success[Health]:
    """Return success as long as the process responds."""
    return Success(data=Health())


@router.get("/readyz", responses=errors(Unavailable))
def readyz(context: InContext, storage: InStorage) -> Success[Health]:
    """Return success if the database is migrated, the storage writable, and a worker alive."""
    try:
        migrate.check(context.database)
        with context.database.read_connection() as connection:
            shortages = workers.shortages(connection)
            fault = workers.recent_fault(connection, times.now())
        installation.check_storage(context.database, storage)
    except NotMigrated:
        raise Unavailable("The database is not up to date.") from None
    except SQLAlchemyError:
        raise Unavailable("The database cannot be reached.") from None
    except WrongInstallation as error:
        logger.error("%s", error)
        raise Unavailable("The storage is not the one of this database.") from None
    except OSError as error:
        raise _unusable_storage(error) from None
    try:
        storage.check()
    except OSError as error:
        raise _unusable_storage(error) from None
    if not shortages:
        why = "" if fault is None else f" The last one could not start: {fault}"
        raise Unavailable(f"No worker is running.{why}")
    if None not in shortages:
        raise Unavailable(f"No worker can take songs. One lacks {shortages[0]}")
    return Success(data=Health())


def _unusable_storage(error: OSError) -> Unavailable:
    logger.error("the storage cannot be written: %s", error)
    return Unavailable("The storage cannot be written.")
