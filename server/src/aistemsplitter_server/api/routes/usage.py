"""``/v1/usage``."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Security
from pydantic import ConfigDict, Field

from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.authentication import permitted
from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.credits import service
from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import ValidationFailed
from aistemsplitter_server.kit.schemas import Response, Success, example

DAYS = 30  # by default
MOST_DAYS = 31
EARLIEST = date(2000, 1, 1)

router = APIRouter(prefix="/v1/usage", tags=["credits"])

Day = Annotated[str, Field(examples=["2026-05-03"], json_schema_extra={"format": "date"})]


class UsageDay(Response):
    """The usage of one day (UTC)."""

    day: Day
    seconds: int = Field(description="Seconds charged and not refunded.", ge=0)
    splits: int = Field(description="Number of these charges.", ge=0)


class UsageReport(Response):
    """The usage of some days (UTC)."""

    model_config = ConfigDict(
        json_schema_extra=example(
            start="2026-05-02",
            end="2026-05-03",
            seconds=180,
            splits=1,
            days=[
                {"day": "2026-05-02", "seconds": 0, "splits": 0},
                {"day": "2026-05-03", "seconds": 180, "splits": 1},
            ],
        )
    )

    start: Day
    end: Day
    seconds: int = Field(description="Seconds charged and not refunded.", ge=0)
    splits: int = Field(description="Number of these charges.", ge=0)
    days: list[UsageDay] = Field(description="each day, also those without usage")


@router.get("", responses=errors(ValidationFailed))
def get_usage(
    context: InContext,
    caller: Annotated[Caller, Security(permitted, scopes=[Scope.CREDITS_READ])],
    start: Annotated[
        date | None, Query(description=f"first day (UTC), by default {DAYS - 1} days before `end`")
    ] = None,
    end: Annotated[date | None, Query(description="last day (UTC), by default today")] = None,
) -> Success[UsageReport]:
    """Return the account's usage by day, at most 31 days. A refund counts on its charge's day.

    Splits of test keys cost nothing, so a test key gets zeros.
    """
    first, last = _period(start, end)
    if caller.is_test:
        used = [
            service.Usage(first + timedelta(days=number), 0, 0)
            for number in range((last - first).days + 1)
        ]
    else:
        with context.database.read() as session:
            used = service.usage_between(session, caller.account_id, first, last)
    return Success(
        data=UsageReport(
            start=first.isoformat(),
            end=last.isoformat(),
            seconds=sum(day.seconds for day in used),
            splits=sum(day.splits for day in used),
            days=[
                UsageDay(day=day.day.isoformat(), seconds=day.seconds, splits=day.splits)
                for day in used
            ],
        )
    )


def _period(start: date | None, end: date | None) -> tuple[date, date]:
    """Return the first and the last day.

    Raises:
        ValidationFailed: They are in the wrong order, too far apart, before 2000, or in the future.
    """
    today = times.now().date()
    last = end or today
    tomorrow = today + timedelta(days=1)  # may have begun where the client is
    if not EARLIEST <= last <= tomorrow:
        raise ValidationFailed([("end", f"must be from {EARLIEST} to today")])
    first = start or max(EARLIEST, last - timedelta(days=DAYS - 1))
    if not EARLIEST <= first <= last:
        raise ValidationFailed([("start", f"must be from {EARLIEST} to `end`")])
    if (last - first).days >= MOST_DAYS:
        raise ValidationFailed([("start", f"must be at most {MOST_DAYS - 1} days before `end`")])
    return first, last
