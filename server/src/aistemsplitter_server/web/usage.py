"""``/settings/usage``: the balance, the usage by day, and the ledger."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from aistemsplitter_server.credits import export, queries, service
from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.splits import queries as splits
from aistemsplitter_server.web import chart, ledger, packs
from aistemsplitter_server.web.pages import language_of, render
from aistemsplitter_server.web.sessions import InSession

router = APIRouter()

PAGE = "/settings/usage"
PERIODS = (30, 90)  # days
PAGE_SIZE = 25  # entries per page
Number = Annotated[int, Query(ge=0, lt=1 << 31)]  # of an entry


@router.get(PAGE)
def show_usage(
    request: Request,
    context: InContext,
    who: InSession,
    days: int = 30,
    before: Number | None = None,
) -> Response:
    """Show the balance, the usage by day, and a page of the ledger."""
    days = days if days in PERIODS else PERIODS[0]
    with context.database.read() as session:
        balance = service.balance(session, who.account_id)
        used = service.usage(session, who.account_id, days)
        entries = queries.entries(session, who.account_id, PAGE_SIZE + 1, before=before)
        songs = splits.of_account_all(
            session, who.account_id, [entry.split_id for entry in entries if entry.split_id]
        )
    names = {song.id: song.filename for song in songs}
    shown = entries[:PAGE_SIZE]
    t = language_of(request)
    return render(
        request,
        "usage.html",
        balance=balance,
        used=used,
        total=sum(day.seconds for day in used),
        splits=sum(day.splits for day in used),
        days=days,
        periods=PERIODS,
        chart=chart.bars([day.seconds / 60 for day in used]),
        lines=[ledger.line(t, entry, names) for entry in shown],
        before=before,
        older=shown[-1].number if len(entries) > PAGE_SIZE else None,
        packs=packs.offered(request, context),
    )


@router.get(f"{PAGE}/ledger.csv")
def ledger_csv(context: InContext, who: InSession) -> Response:
    """Return the whole ledger as CSV."""
    return StreamingResponse(
        export.pieces(context.database, who.account_id),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": 'attachment; filename="ledger.csv"',
            "Cache-Control": "no-store",
        },
    )
