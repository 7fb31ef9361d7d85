"""``/settings/account``: the signed-in person's password, sessions and language."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from aistemsplitter_server.accounts import people, sign_ins
from aistemsplitter_server.accounts.people import WrongPassword
from aistemsplitter_server.accounts.sign_ins import SignedIn
from aistemsplitter_server.accounts.tables import Account, Person
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.http.context import Context, InContext
from aistemsplitter_server.kit.errors import RateLimited, ValidationFailed
from aistemsplitter_server.web import devices, pages, sessions, sign_in
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import InSession

router = APIRouter(prefix="/settings/account")

HERE = router.prefix


class PasswordForm(Form):
    """The current and the new password."""

    present: str = Field(max_length=people.LONGEST)
    password: str = Field(max_length=people.LONGEST)


@router.get("")
def show(request: Request, context: InContext, who: InSession, changed: bool = False) -> Response:
    """Show the page."""
    return _page(request, context, who, changed=changed)


@router.post("/password")
def change_password(
    request: Request,
    context: InContext,
    who: InSession,
    form: Annotated[PasswordForm, Depends(filled(PasswordForm))],
) -> Response:
    """Change the password and end all other sign-ins."""
    t = pages.language_of(request)
    try:
        sign_in.count_attempt(request, context, who.email)
        with context.database.read() as session:
            present = session.get_one(Person, who.person_id).password_hash
        people.verify(form.present, present)
        password_hash = people.hashed(form.password)
        with context.database.write() as session:
            people.change_password(
                session,
                who.person_id,
                verified=present,
                password_hash=password_hash,
                sign_in_id=who.sign_in_id,
            )
            audit.record(
                session, who.account_id, who.person_id, Action.PASSWORD_CHANGED, who.person_id
            )
    except WrongPassword:
        return _page(request, context, who, fault=t("account.wrong"), status=422)
    except ValidationFailed:
        fault = t("account.too_short", n=people.SHORTEST)
        return _page(request, context, who, fault=fault, status=422)
    except RateLimited as error:
        return _page(request, context, who, fault=pages.message(t, error), status=error.status)
    return RedirectResponse(f"{HERE}?changed=true", 303)


@router.post("/sign-ins/end")
def end_everywhere(context: InContext, who: InSession) -> Response:
    """Sign out in all browsers, this one included."""
    with context.database.write() as session:
        sign_ins.end_all(session, who.person_id)
        audit.record(session, who.account_id, who.person_id, Action.SESSIONS_REVOKED)
    response = RedirectResponse("/sign-in", 303)
    sessions.forget(response)
    return response


@router.post("/sign-ins/{sign_in_id}/end")
def end_one(context: InContext, who: InSession, sign_in_id: str) -> Response:
    """Sign out in one browser."""
    with context.database.write() as session:
        sign_ins.end_one(session, who.person_id, sign_in_id)
        audit.record(session, who.account_id, who.person_id, Action.SESSIONS_REVOKED, sign_in_id)
    return RedirectResponse(HERE, 303)


def _page(
    request: Request,
    context: Context,
    who: SignedIn,
    *,
    changed: bool = False,
    fault: str | None = None,
    status: int = 200,
) -> Response:
    with context.database.read() as session:
        account = session.get_one(Account, who.account_id)
        balance = credits.balance(session, who.account_id)
        found = sign_ins.everywhere(session, who.person_id)
    return render(
        request,
        "account.html",
        status=status,
        account=account,
        balance=balance,
        sign_ins=[(each, *devices.described(each.user_agent)) for each in found],
        shortest=people.SHORTEST,
        changed=changed,
        fault=fault,
    )
