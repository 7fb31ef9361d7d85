"""``/operator/accounts/{id}/limits``: the limits of an account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from aistemsplitter_server.accounts.limits import HIGHEST
from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.operations import limits
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.sessions import Operator

router = APIRouter(prefix="/operator/accounts")

Value = Annotated[int | None, Field(ge=0, le=HIGHEST)]


class LimitsForm(Form):
    """Limits of an account. An empty field means the default."""

    stored_bytes: Value = None
    open_uploads: Value = None
    queued_splits: Value = None
    queued_test_splits: Value = None
    keys: Value = None
    streams: Value = None
    requests_per_minute: Value = None
    concurrent_fetches: Value = None
    webhook_endpoints: Value = None


@router.post("/{account_id}/limits")
def change(
    context: InContext,
    who: Operator,
    account_id: str,
    form: Annotated[LimitsForm, Depends(filled(LimitsForm))],
) -> Response:
    """Set all limits."""
    with context.database.write() as session:
        limits.change(session, account_id, form.model_dump(), actor=who.person_id)
    return RedirectResponse(f"{router.prefix}/{account_id}#limits", 303)
