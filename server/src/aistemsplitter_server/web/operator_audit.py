"""``/operator/audit``: the audit log of all accounts, and its export."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from aistemsplitter_server.accounts import queries as accounts
from aistemsplitter_server.audit import export, queries
from aistemsplitter_server.audit.export import Format
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import Context, InContext
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import Operator

router = APIRouter(prefix="/operator")

PAGE = 50
MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv", "jsonl": "application/jsonl"}


@router.get("/audit")
def show(
    request: Request,
    context: InContext,
    _who: Operator,
    account: str = "",
    action: str = "",
    before: str | None = None,
) -> Response:
    """Show entries, newest first, of all accounts or of one."""
    account, known = account.strip()[:64], action if action in list(Action) else None
    with context.database.read() as session:
        found = queries.page(session, account or None, action=known, before=before, limit=PAGE + 1)
        shown = found[:PAGE]
        emails = accounts.emails(session, [entry.actor for entry in shown])
        names = accounts.names(session, [e.account_id for e in shown if e.account_id])
    chosen = {"account": account, "action": known or ""}
    chosen = {name: value for name, value in chosen.items() if value}
    return render(
        request,
        "operator_audit.html",
        entries=shown,
        emails=emails,
        names=names,
        actions=list(Action),
        account=account,
        action=known,
        filters=urlencode(chosen),
        older=urlencode({**chosen, "before": shown[-1].id}) if len(found) > PAGE else None,
        paged=before is not None,
    )


@router.get("/audit.csv")
def as_csv(
    context: InContext, _who: Operator, account: str = "", action: str = ""
) -> StreamingResponse:
    """Return all entries, oldest first, as CSV."""
    return _file(context, "csv", account, action)


@router.get("/audit.jsonl")
def as_json_lines(
    context: InContext, _who: Operator, account: str = "", action: str = ""
) -> StreamingResponse:
    """Return all entries, oldest first, as JSON lines."""
    return _file(context, "jsonl", account, action)


def _file(context: Context, form: Format, account: str, action: str) -> StreamingResponse:
    known = action if action in list(Action) else None
    return StreamingResponse(
        export.pieces(context.database, account.strip()[:64] or None, action=known, form=form),
        media_type=f"{MEDIA_TYPES[form]}; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="audit.{form}"',
            "Cache-Control": "no-store",
        },
    )
