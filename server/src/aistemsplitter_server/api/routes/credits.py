"""``/v1/credits``."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Security
from pydantic import Field

from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.authentication import permitted
from aistemsplitter_server.credits import service
from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.schemas import Response, Success

TEST_BALANCE = 36_000  # seconds; splits of test keys cost nothing

router = APIRouter(prefix="/v1/credits", tags=["credits"])


class Credits(Response):
    """An account's credits."""

    balance: int = Field(description="Seconds of source audio.", examples=[600], ge=0)
    unit: Literal["seconds"] = "seconds"


@router.get("")
async def get_credits(
    context: InContext, caller: Annotated[Caller, Security(permitted, scopes=[Scope.CREDITS_READ])]
) -> Success[Credits]:
    """Return the balance. One credit is one second of source audio. Test keys have a fixed one."""
    if caller.is_test:
        return Success(data=Credits(balance=TEST_BALANCE))
    balance = await context.database.run_read(
        partial(_balance, context.database, caller.account_id)
    )
    return Success(data=Credits(balance=balance))


def _balance(database: Database, account_id: str) -> int:
    with database.read_connection() as connection:
        return service.balance(connection, account_id)
