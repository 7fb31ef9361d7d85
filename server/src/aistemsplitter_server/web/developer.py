"""``/settings/developer``: an account's API keys, and example programs that use them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from aistemsplitter_server.accounts import queries, scopes, service
from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.sign_ins import SignedIn
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import BaseUrl, Context, InContext
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.errors import Conflict, LimitExceeded
from aistemsplitter_server.splits.schemas import Priority
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sdk_wheel import install_command
from aistemsplitter_server.web.sessions import InSession

router = APIRouter()

PAGE = "/settings/developer"
EXPIRIES = ("never", "30", "90", "365", "date")  # days
KEY_ID = r"key_[0-9A-HJKMNP-TV-Z]{26}"


class KeyForm(Form):
    """A new key. Its id is made with the form, so that a form that is sent twice makes one key."""

    id: str = Field(pattern=f"^{KEY_ID}$")
    name: str = Field(default="", max_length=80)
    mode: Literal["live", "test"] = "live"
    expires: Literal["never", "30", "90", "365", "date"] = "never"
    expires_on: date | None = None
    scope: list[Scope] = Field(default_factory=list)
    priority: Priority = "interactive"

    def fault(self) -> str | None:
        """The text key of the form's error, if there is one."""
        if not self.scope:
            return "developer.new.no_scope"
        if self.expires == "date":
            end = self.expires_at()
            return None if end is not None and end > times.now() else "developer.new.no_date"
        return None

    def expires_at(self) -> datetime | None:
        """When the key expires; a date means the end of that day in UTC."""
        if self.expires == "never":
            return None
        if self.expires != "date":
            return times.now() + timedelta(days=int(self.expires))
        if self.expires_on is None or self.expires_on == date.max:
            return None
        return datetime.combine(self.expires_on + timedelta(days=1), time.min, UTC)


class RotateForm(Form):
    """A key or a secret to replace, by its version; a form that is sent twice replaces one."""

    version: str = Field(max_length=64)


@router.get(PAGE)
def show_keys(request: Request, context: InContext, who: InSession, base_url: BaseUrl) -> Response:
    """Show the keys, newest first, and the example programs."""
    with context.database.read() as session:
        keys = list(reversed(queries.keys(session, who.account_id)))
    now = times.now()
    live = [key for key in keys if not key.is_over(now)]
    return render(
        request,
        "developer.html",
        keys=live,
        over=[key for key in keys if key not in live],
        all_scopes=scopes.ALL,
        version=service.secret_version,
        key_version=service.key_version,
        api=f"{base_url}/v1",
        install=install_command(base_url),
    )


@router.get(f"{PAGE}/keys/new")
def show_form(request: Request, _who: InSession) -> Response:
    """Show the form for a new key."""
    return _form(request, KeyForm(id=ids.new("key"), scope=[*scopes.ALL]))


@router.post(f"{PAGE}/keys")
def make_key(
    request: Request,
    context: InContext,
    who: InSession,
    base_url: BaseUrl,
    form: Annotated[KeyForm, Depends(filled(KeyForm))],
) -> Response:
    """Create a key and show it once, in this response, which is not cached."""
    if fault := form.fault():
        return _form(request, form, fault)
    try:
        with context.database.write() as session:
            made = service.create_key(
                session,
                context.secrets,
                who.account_id,
                name=form.name,
                test=form.mode == "test",
                allowed=form.scope,
                expires_at=form.expires_at(),
                top_priority=form.priority,
                key_id=form.id,
                limits=limits_of(session, context.settings, who.account_id),
            )
            audit.record(
                session,
                who.account_id,
                who.person_id,
                Action.KEY_CREATED,
                made.id,
                name=form.name,
                mode=form.mode,
                scopes=" ".join(form.scope),
            )
    except LimitExceeded:
        raise
    except Conflict:  # the response was reloaded
        return RedirectResponse(PAGE, 303)
    return render(
        request,
        "developer_made.html",
        made=made,
        name=form.name,
        api=f"{base_url}/v1",
        install=install_command(base_url),
    )


@router.post(PAGE + "/keys/{key_id}/revoke")
def revoke_key(context: InContext, who: InSession, key_id: str) -> Response:
    """Revoke a key, at once and for good."""
    with context.database.write() as session:
        key = service.revoke_key(session, who.account_id, key_id)
        audit.record(session, who.account_id, who.person_id, Action.KEY_REVOKED, key.id)
    return RedirectResponse(PAGE, 303)


@router.post(PAGE + "/keys/{key_id}/replace")
def replace_key(
    request: Request,
    context: InContext,
    who: InSession,
    key_id: str,
    form: Annotated[RotateForm, Depends(filled(RotateForm))],
) -> Response:
    """Replace a key in place and show the new one once. The old one works for a day more."""
    replaced = _replaced(context, who, key_id, form, service.rotate_key, Action.KEY_ROTATED)
    if replaced is None:
        return RedirectResponse(PAGE, 303)
    key, api_key = replaced
    return render(request, "developer_replaced.html", key=key, api_key=api_key)


@router.post(PAGE + "/keys/{key_id}/rotate")
def rotate_secret(
    request: Request,
    context: InContext,
    who: InSession,
    key_id: str,
    form: Annotated[RotateForm, Depends(filled(RotateForm))],
) -> Response:
    """Replace a key's webhook secret and show the new one once."""
    replaced = _replaced(
        context, who, key_id, form, service.rotate_webhook_secret, Action.SECRET_ROTATED
    )
    if replaced is None:
        return RedirectResponse(PAGE, 303)
    key, secret = replaced
    return render(request, "developer_rotated.html", key=key, secret=secret)


def _replaced(
    context: Context,
    who: SignedIn,
    key_id: str,
    form: RotateForm,
    rotate: Callable[..., str],
    action: Action,
) -> tuple[ApiKey, str] | None:
    """Return a key and what replaces it or its secret; None if that was done before."""
    try:
        with context.database.write() as session:
            new = rotate(session, context.secrets, who.account_id, key_id, version=form.version)
            key = service.known_key(session, who.account_id, key_id)
            audit.record(session, who.account_id, who.person_id, action, key.id)
    except Conflict:  # the response was reloaded, or the key is over by now
        return None
    return key, new


def _form(request: Request, form: KeyForm, fault: str | None = None) -> Response:
    values: dict[str, Any] = {"form": form, "fault": fault, "all_scopes": scopes.ALL}
    tomorrow = times.now().date() + timedelta(days=1)
    return render(
        request,
        "developer_new.html",
        status=422 if fault else 200,
        expiries=EXPIRIES,
        tomorrow=tomorrow,
        **values,
    )
