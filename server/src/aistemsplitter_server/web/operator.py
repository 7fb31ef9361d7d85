"""``/operator``: the state of the whole service, for its operator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from aistemsplitter_server.http.context import Context, InContext
from aistemsplitter_server.kit import times
from aistemsplitter_server.models import queries as models
from aistemsplitter_server.models.catalogue import MODELS
from aistemsplitter_server.operations import failures, health, queue, sweeps
from aistemsplitter_server.operations.throughput import Period
from aistemsplitter_server.web import chart
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import Operator
from aistemsplitter_server.workers import queries as workers

router = APIRouter(prefix="/operator")

HEIGHT = 72.0  # pixels of the charts


@router.get("")
def overview(request: Request, context: InContext, _who: Operator) -> Response:
    """Show the page."""
    now = times.now()
    with context.database.read() as session:
        done = context.history.counts(session, now)
        return render(
            request,
            "operator.html",
            **_live(context, session, now),
            hours=_charted(done.hours),
            days=_charted(done.days),
            reasons=failures.reasons(session, now),
            sweeps=sweeps.states(session, context.settings, now),
            versions=health.versions(context.database, session),
            models=MODELS,
        )


@router.get("/now")
def live(request: Request, context: InContext, _who: Operator) -> Response:
    """Return the part of the page that is updated every few seconds."""
    with context.database.read() as session:
        return render(request, "operator_now.html", **_live(context, session, times.now()))


def _live(context: Context, session: Session, now: datetime) -> dict[str, Any]:
    lacking = models.lacking(session)
    found = queue.current(session, context.queue_sums)
    return {
        "now": now,
        "queue": found,
        "workers": workers.statuses(session),
        "lacking": lacking,
        "without_worker": {
            model: found.by_model[model] for model in sorted(lacking) if model in found.by_model
        },
        "webhooks": health.webhooks(session, now),
        "disk": health.disk(context.settings.data),
    }


def _charted(periods: Sequence[Period]) -> dict[str, Any]:
    ended = [period.succeeded + period.failed for period in periods]
    return {
        "periods": periods,
        "ended": chart.bars(ended, height=HEIGHT),
        # Drawn over those, so that the failed ones show above.
        "succeeded": chart.bars(
            [period.succeeded for period in periods], height=HEIGHT, highest=max(ended)
        ),
        "minutes": chart.bars([period.audio_seconds / 60 for period in periods], height=HEIGHT),
        "all_succeeded": sum(period.succeeded for period in periods),
        "all_failed": sum(period.failed for period in periods),
        "audio_seconds": sum(period.audio_seconds for period in periods),
    }
