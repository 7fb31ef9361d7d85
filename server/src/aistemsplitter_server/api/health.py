"""For those who watch the process: is it alive, can it work."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.api.context import InContext
from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.kit import migrate
from aistemsplitter_server.kit.errors import Unavailable
from aistemsplitter_server.kit.migrate import NotMigrated
from aistemsplitter_server.kit.schemas import Response, Success

router = APIRouter()


class Health(Response):
    """That it answers says it all."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Success[Health]:
    """Alive: the process answers."""
    return Success(data=Health())


@router.get("/readyz", responses=errors(Unavailable))
def readyz(context: InContext) -> Success[Health]:
    """Ready: the database answers and is up to date."""
    try:
        migrate.check(context.database)
    except NotMigrated:
        raise Unavailable("The database is not up to date.") from None
    except SQLAlchemyError:
        raise Unavailable("The database cannot be reached.") from None
    return Success(data=Health())
