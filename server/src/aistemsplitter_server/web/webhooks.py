"""``/settings/webhooks``: the log of deliveries, replays, and sample events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from aistemsplitter_server.accounts import queries as account_queries
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import Context, InContext, InStorage
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.errors import Conflict, ValidationFailed
from aistemsplitter_server.kit.outgoing import HEADERS
from aistemsplitter_server.splits import payloads
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import InSession
from aistemsplitter_server.webhooks import queries, receivers, service, signing
from aistemsplitter_server.webhooks.tables import EVENT_TYPES, Delivery, Event, EventType

router = APIRouter()

PAGE = "/settings/webhooks"
PAGE_SIZE = 25  # deliveries per page
LONGEST_SEARCH = 200  # characters; SQLite refuses patterns of 50 kB
SOON = timedelta(minutes=2)  # until the next attempt, in which the page waits for it
STATES = (service.PENDING, service.DELIVERED, service.FAILED)


class SampleForm(Form):
    """A sample event to send."""

    url: str = Field(default="", max_length=2048)
    key: str = Field(default="", max_length=64)
    type: EventType = "split.succeeded"


class EnableForm(Form):
    """A disabled receiver to enable."""

    url: str = Field(max_length=2048)


@router.get(PAGE)
def show_deliveries(
    request: Request,
    context: InContext,
    who: InSession,
    state: str = "",
    type: str = "",
    key: str = "",
    find: str = "",
    cursor: str = "",
) -> Response:
    """Show deliveries, newest first. Unknown values of filters are ignored."""
    find = find.strip()[:LONGEST_SEARCH]
    with context.database.read() as session:
        keys = account_queries.keys(session, who.account_id)
        found = queries.page(
            session,
            who.account_id,
            before=ids.from_cursor("dlv", cursor) if cursor else None,
            state=state if state in STATES else None,
            kind=type if type in EVENT_TYPES else None,
            key_id=key or None,
            split_id=find if find.startswith("split_") else None,
            url_part=None if find.startswith("split_") else find or None,
            limit=PAGE_SIZE + 1,
        )
        disabled = queries.disabled(session, who.account_id)
    shown = found[:PAGE_SIZE]
    chosen = {"state": state, "type": type, "key": key, "find": find}
    older = _link(chosen, cursor=ids.body(shown[-1][0].id)) if len(found) > PAGE_SIZE else None
    wanted = request.headers.get("hx-target") == "deliveries"
    return render(
        request,
        "webhooks_deliveries.html" if wanted else "webhooks.html",
        deliveries=shown,
        disabled=disabled,
        keys=keys,
        states=STATES,
        types=EVENT_TYPES,
        chosen=chosen,
        filtered=any(chosen.values()),
        newest=_link(chosen) if cursor else None,
        older=older,
    )


@router.get(f"{PAGE}/test")
def show_test(
    request: Request, context: InContext, who: InSession, url: str = "", key: str = ""
) -> Response:
    """Show the form for a sample event."""
    return _test_form(request, context, who.account_id, SampleForm(url=url[:2048], key=key[:64]))


@router.post(f"{PAGE}/test")
def send_test(
    request: Request,
    context: InContext,
    who: InSession,
    form: Annotated[SampleForm, Depends(filled(SampleForm))],
) -> Response:
    """Send a sample event, and show its delivery."""
    account_id = who.account_id
    try:
        with context.database.write() as session:
            sent, _ = service.send_test(session, account_id, form.key, form.url, form.type)
            audit.record(
                session,
                account_id,
                who.person_id,
                Action.WEBHOOK_TESTED,
                sent.id,
                host=urlsplit(form.url).hostname,
            )
    except ValidationFailed:
        return _test_form(request, context, account_id, form, "webhooks.test.wrong_url")
    except Conflict:
        return _test_form(request, context, account_id, form, "webhooks.test.wrong_key")
    return RedirectResponse(f"{PAGE}/{sent.id}", 303)


@router.post(f"{PAGE}/enable")
def enable(
    context: InContext, who: InSession, form: Annotated[EnableForm, Depends(filled(EnableForm))]
) -> Response:
    """Enable a disabled receiver."""
    with context.database.write() as session:
        receivers.enable(session, who.account_id, form.url)
        host = urlsplit(form.url).hostname
        audit.record(session, who.account_id, who.person_id, Action.RECEIVER_ENABLED, host=host)
    return RedirectResponse(PAGE, 303)


@router.get(PAGE + "/{delivery_id}")
def show_delivery(
    request: Request, context: InContext, storage: InStorage, who: InSession, delivery_id: str
) -> Response:
    """Show a delivery: the request, and the responses."""
    lifetime = timedelta(seconds=context.settings.download_url_seconds)
    with context.database.read() as session:
        delivery, event = service.known(session, who.account_id, delivery_id, is_test=None)
        attempts = queries.attempts(session, delivery.id)
        payload = payloads.render(session, event, storage, lifetime)
        keys = {key.id: key for key in account_queries.keys(session, who.account_id)}
    return render(
        request,
        "webhooks_delivery.html" if _polled(request) else "webhooks_one.html",
        delivery=delivery,
        event=event,
        key=keys.get(event.key_id),
        attempts=[*reversed(attempts)],
        sent=_headers(event, len(payloads.encode(payload))),
        body=json.dumps(payload.model_dump(by_alias=True), ensure_ascii=False, indent=2),
        watch=_is_due(delivery),
    )


@router.post(PAGE + "/{delivery_id}/replay")
def replay(context: InContext, who: InSession, delivery_id: str) -> Response:
    """Deliver the same event again."""
    with context.database.write() as session:
        again, _ = service.replay(session, who.account_id, delivery_id, is_test=None)
        audit.record(
            session,
            who.account_id,
            who.person_id,
            Action.WEBHOOK_REPLAYED,
            again.id,
            replay_of=delivery_id,
        )
    return RedirectResponse(f"{PAGE}/{again.id}", 303)


def _test_form(
    request: Request, context: Context, account_id: str, form: SampleForm, fault: str | None = None
) -> Response:
    now = times.now()
    with context.database.read() as session:
        keys = account_queries.keys(session, account_id)
    return render(
        request,
        "webhooks_test.html",
        status=422 if fault else 200,
        form=form,
        fault=fault,
        keys=[key for key in reversed(keys) if not key.is_over(now)],
        types=EVENT_TYPES,
    )


def _link(chosen: Mapping[str, str], **more: str) -> str:
    return (
        f"{PAGE}?{urlencode({name: value for name, value in {**chosen, **more}.items() if value})}"
    )


def _polled(request: Request) -> bool:
    return request.headers.get("hx-target") == "delivery"


def _is_due(delivery: Delivery) -> bool:
    """Return whether the next attempt is so soon that the page should wait for it."""
    if delivery.state != service.PENDING:
        return False
    due = delivery.next_attempt_at
    return due is None or due - times.now() < SOON


def _headers(event: Event, length: int) -> dict[str, Any]:
    """Return the request's headers. Signatures are made when it is sent."""
    return {
        "Content-Type": "application/json",
        "Content-Length": length,
        "User-Agent": HEADERS["User-Agent"],
        **dict.fromkeys(signing.headers((), event.id, 0, b""), "…"),
        "AIStemSplitter-Signature": "t=…,v1=…",
        "webhook-id": event.id,
        "webhook-signature": "v1,…",
    }
