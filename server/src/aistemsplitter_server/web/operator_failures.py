"""``/operator/failures`` and ``/operator/splits/...``: what failed and why, and retries."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.http.context import Context, InContext
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import ApiError, NotFound
from aistemsplitter_server.operations import failures
from aistemsplitter_server.splits import actions, queries
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.web import pages
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import Operator

router = APIRouter(prefix="/operator")

PAGE = 25


@router.get("/failures")
def show(
    request: Request,
    context: InContext,
    _who: Operator,
    code: str | None = None,
    before: str | None = None,
) -> Response:
    """Show failures by reason, the most frequent first, and the newest of them."""
    now = times.now()
    with context.database.read() as session:
        reasons = failures.reasons(session, now)
        found = failures.newest(session, now, code=code, before=before, limit=PAGE + 1)
    return render(
        request,
        "operator_failures.html",
        reasons=reasons,
        found=found[:PAGE],
        more=found[PAGE - 1][0].id if len(found) > PAGE else None,
        code=code,
        paged=before is not None,
    )


@router.get("/splits/{split_id}")
def show_split(request: Request, context: InContext, _who: Operator, split_id: str) -> Response:
    """Show a split of any account."""
    return _page(request, context, split_id)


@router.post("/splits/{split_id}/retry")
def retry(request: Request, context: InContext, who: Operator, split_id: str) -> Response:
    """Retry a failed split as a new one, which is charged."""
    try:
        with context.database.write() as session:
            split = queries.locked(session, split_id)
            if split is None:
                raise NotFound(f"There is no split {split_id[:64]}.")
            made, _ = actions.retry(session, context.settings, split, who.person_id)
    except NotFound:
        raise
    except ApiError as error:
        fault = pages.message(pages.language_of(request), error)
        return _page(request, context, split_id, fault=fault, status=error.status)
    return RedirectResponse(f"{router.prefix}/splits/{made.id}", 303)


def _page(
    request: Request,
    context: Context,
    split_id: str,
    *,
    fault: str | None = None,
    status: int = 200,
) -> Response:
    with context.database.read() as session:
        split = session.get(Split, split_id)
        if split is None:
            raise NotFound(f"There is no split {split_id[:64]}.")
        account = session.get_one(Account, split.account_id)
    return render(
        request, "operator_split.html", status=status, split=split, account=account, fault=fault
    )
