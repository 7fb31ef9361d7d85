"""``/operator/accounts``: all accounts, new accounts, and their credits."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field, model_validator

from aistemsplitter_server.accounts import members, people, queries, standing
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits import queries as ledger
from aistemsplitter_server.http.context import BaseUrl, Context, InContext
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.errors import Conflict, NotFound, ValidationFailed
from aistemsplitter_server.operations import accounts, closing, grants, limits, opening
from aistemsplitter_server.web import pages
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.ledger import in_words
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import Operator

router = APIRouter(prefix="/operator/accounts")

PAGE = 25
ENTRIES = 20  # of the ledger that are shown


class AccountForm(Form):
    """A new account. Its id is made with the form, so that a form that is sent twice makes one."""

    id: str = Field(pattern=r"^acc_[0-9A-HJKMNP-TV-Z]{26}$")
    name: str = Field(min_length=1, max_length=100)
    minutes: int = Field(ge=0, le=grants.MOST_MINUTES)


class CreditsForm(Form):
    """Minutes to grant or withdraw, or a pack by its minutes, with a reason."""

    kind: Literal["grant", "withdrawal"]
    entry: grants.EntryId
    pack: int | None = None
    minutes: int | None = Field(None, ge=1, le=grants.MOST_MINUTES)
    reason: str = Field(min_length=1, max_length=200)

    @model_validator(mode="before")
    @classmethod
    def _other_amount(cls, values: dict[str, str]) -> dict[str, str]:
        """Drop the empty field of the choice that was not made."""
        return {name: value for name, value in values.items() if value != ""}


class LinkForm(Form):
    """A link for someone new, or for a person of the account to choose a new password."""

    person: str | None = Field(None, max_length=64)
    note: str = Field("", max_length=100)


class SuspendForm(Form):
    """The reason, for the audit log."""

    reason: str = Field("", max_length=200)


class DeleteForm(Form):
    """The account's name, typed to confirm."""

    name: str = Field("", max_length=100)


@router.get("")
def show_all(
    request: Request, context: InContext, _who: Operator, q: str = "", before: str | None = None
) -> Response:
    """Show accounts, newest first, or those that match a search."""
    text = q.strip()[:100]
    with context.database.read() as session:
        found = accounts.page(session, times.now(), text=text, before=before, limit=PAGE + 1)
    return render(
        request,
        "operator_accounts.html",
        found=found[:PAGE],
        more=found[PAGE - 1].account.id if len(found) > PAGE else None,
        text=text,
        paged=before is not None,
        new_id=ids.new("acc"),
        free_minutes=context.settings.free_minutes,
        most_minutes=grants.MOST_MINUTES,
    )


@router.post("")
def create(
    request: Request,
    context: InContext,
    who: Operator,
    base_url: BaseUrl,
    form: Annotated[AccountForm, Depends(filled(AccountForm))],
) -> Response:
    """Create an account, and a link by which its first person joins."""
    seconds = form.minutes * 60
    try:
        with context.database.write() as session:
            made = opening.open_account(
                session, form.name, free_seconds=seconds, account_id=form.id
            )
            token = people.link(session, context.secrets, made.id)
            audit.record(
                session,
                made.id,
                who.person_id,
                Action.ACCOUNT_CREATED,
                name=form.name,
                seconds=seconds,
            )
            audit.record(session, made.id, who.person_id, Action.PERSON_INVITED)
    except Conflict:  # the form was sent twice
        return RedirectResponse(f"{router.prefix}/{form.id}", 303)
    return _page(request, context, made.id, link=f"{base_url}/join/{token}", status=201)


@router.get("/{account_id}")
def show_one(request: Request, context: InContext, _who: Operator, account_id: str) -> Response:
    """Show an account."""
    return _page(request, context, account_id)


@router.post("/{account_id}/credits")
def change_credits(
    context: InContext,
    who: Operator,
    account_id: str,
    form: Annotated[CreditsForm, Depends(filled(CreditsForm))],
) -> Response:
    """Grant an account credits, or withdraw some."""
    minutes, reason = form.minutes, form.reason
    if form.pack is not None:
        if form.pack not in context.settings.pack_minutes:
            raise NotFound(f"There is no pack of {form.pack} minutes.")
        minutes, reason = form.pack, f"pack of {form.pack} minutes: {reason}"
    if minutes is None:
        raise ValidationFailed([("minutes", "is required")])
    seconds = minutes * 60 if form.kind == "grant" else -minutes * 60
    with context.database.write() as session:
        grants.book(session, account_id, seconds, reason, who.person_id, entry_id=form.entry)
    return RedirectResponse(f"{router.prefix}/{account_id}", 303)


@router.post("/{account_id}/links")
def make_link(
    request: Request,
    context: InContext,
    who: Operator,
    base_url: BaseUrl,
    account_id: str,
    form: Annotated[LinkForm, Depends(filled(LinkForm))],
) -> Response:
    """Create a one-time link and show it once."""
    with context.database.write() as session:
        person = members.one(session, account_id, form.person) if form.person else None
        token = people.link(
            session,
            context.secrets,
            account_id,
            note=person.email if person else form.note,
            person_id=person.id if person else None,
        )
        audit.record(
            session,
            account_id,
            who.person_id,
            Action.PASSWORD_LINK_CREATED if person else Action.PERSON_INVITED,
            person.id if person else None,
            note=form.note or None,
        )
    return _page(request, context, account_id, link=f"{base_url}/join/{token}", status=201)


@router.post("/{account_id}/links/{link_id}/revoke")
def revoke_link(context: InContext, who: Operator, account_id: str, link_id: str) -> Response:
    """Revoke a one-time link."""
    with context.database.write() as session:
        members.revoke_link(session, account_id, link_id)
        audit.record(session, account_id, who.person_id, Action.LINK_REVOKED, link_id)
    return RedirectResponse(f"{router.prefix}/{account_id}", 303)


@router.post("/{account_id}/suspend")
def suspend(
    context: InContext,
    who: Operator,
    account_id: str,
    form: Annotated[SuspendForm, Depends(filled(SuspendForm))],
) -> Response:
    """Suspend an account at once."""
    with context.database.write() as session:
        if standing.suspend(session, account_id):
            audit.record(
                session,
                account_id,
                who.person_id,
                Action.ACCOUNT_SUSPENDED,
                reason=form.reason or None,
            )
    closing.cancel_splits(context.database, account_id, closing.BATCH)
    return RedirectResponse(f"{router.prefix}/{account_id}", 303)


@router.post("/{account_id}/resume")
def resume(context: InContext, who: Operator, account_id: str) -> Response:
    """Resume a suspended account."""
    with context.database.write() as session:
        if standing.resume(session, account_id):
            audit.record(session, account_id, who.person_id, Action.ACCOUNT_RESUMED)
    return RedirectResponse(f"{router.prefix}/{account_id}", 303)


@router.post("/{account_id}/delete")
def delete(
    request: Request,
    context: InContext,
    who: Operator,
    account_id: str,
    form: Annotated[DeleteForm, Depends(filled(DeleteForm))],
) -> Response:
    """Delete an account for good. Its name has to be typed."""
    with context.database.write() as session:
        account = standing.locked(session, account_id)
        confirmed = form.name == account.name
        if confirmed:
            standing.start_deletion(session, account_id)
            audit.record(session, account_id, who.person_id, Action.ACCOUNT_DELETION_STARTED)
    if not confirmed:
        fault = pages.language_of(request)("operator.delete_wrong")
        return _page(request, context, account_id, fault=fault, status=422)
    closing.cancel_splits(context.database, account_id, closing.BATCH)
    return RedirectResponse(f"{router.prefix}/{account_id}", 303)


def _page(
    request: Request,
    context: Context,
    account_id: str,
    *,
    link: str | None = None,
    fault: str | None = None,
    status: int = 200,
) -> Response:
    now = times.now()
    with context.database.read() as session:
        return render(
            request,
            "operator_account.html",
            status=status,
            known=accounts.one(session, now, account_id),
            people=queries.people(session, account_id),
            seen=queries.last_seen(session, account_id),
            links=queries.pending_links(session, account_id, now),
            entries=ledger.entries(session, account_id, limit=ENTRIES),
            in_words=in_words,
            limits=limits.of_account(session, context.settings, account_id),
            packs=context.settings.pack_minutes,
            most_minutes=grants.MOST_MINUTES,
            new_entry=ids.new("ent"),
            link=link,
            fault=fault,
        )
