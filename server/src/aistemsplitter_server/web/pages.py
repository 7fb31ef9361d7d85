"""Rendering pages: templates in the reader's language, with what all pages need."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context
from markupsafe import Markup

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import ApiError, LimitExceeded, ValidationFailed
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.uploads.measurements import UnusableUpload
from aistemsplitter_server.web import assets, texts
from aistemsplitter_server.web.texts import Texts

LANGUAGE = "language"  # name of the cookie


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """Render a page.

    Templates have ``t`` (the texts), ``asset`` (the URL of a static file), ``signed_in``, ``path``,
    ``is_fragment`` (htmx asks for a part of the page), ``reason`` (of a failure, as text), and the
    filters ``moment``, ``day``, ``clock``, ``credit``, ``number``, ``percent``, ``remaining``,
    ``is_keepable``, ``script_texts``.
    """
    t = language_of(request)
    html = (
        _environment()
        .get_template(template)
        .render(
            t=t,
            languages=texts.LANGUAGES,
            signed_in=getattr(request.state, "signed_in", None),
            path=request.url.path,
            is_fragment=is_fragment(request),
            **values,
        )
    )
    own_headers = {"Cache-Control": "no-store", "Vary": "Cookie, Accept-Language, HX-Request"}
    return HTMLResponse(html, status, own_headers | (headers or {}))


def is_fragment(request: Request) -> bool:
    """Return whether htmx asks for a part of the page."""
    return request.headers.get("hx-request") == "true"


def language_of(request: Request) -> Texts:
    """Return the texts in the reader's language."""
    return texts.of(
        texts.chosen(request.cookies.get(LANGUAGE), request.headers.get("accept-language", ""))
    )


def message(t: Texts, error: ApiError) -> str:
    """Return an error's message in the reader's language, or else the API's message."""
    if isinstance(error, LimitExceeded):
        gigabytes = t.number(error.maximum / 1e9, 1)
        return t(f"limits.reached.{error.limit}", maximum=error.maximum, gigabytes=gigabytes)
    if isinstance(error, UnusableUpload):
        return reason(t, error.reason, error.message)
    if isinstance(error, ValidationFailed) and error.extra["details"]:
        faults = "; ".join(fault["message"] for fault in error.extra["details"])
        return t("errors.VALIDATION_ERROR", message=faults)
    return reason(t, error.code, error.message, **error.extra)


def reason(t: Texts, code: str, message: str, **values: Any) -> str:
    """Return the text for an error code, or the API's message if there is none."""
    key = f"errors.{code}"
    return t(key, message=message, **values) if key in t else message


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(asset=assets.url, reason=reason)
    environment.filters.update(
        moment=_moment,
        day=_day,
        clock=clock,
        credit=credit,
        number=_number,
        remaining=_remaining,
        is_keepable=_is_keepable,
        percent=_percent,
        script_texts=_script_texts,
    )
    return environment


def _moment(when: datetime | None) -> Markup | str:
    """Return a time, which a script shows in the reader's time zone."""
    if when is None:
        return "–"
    shown = when.strftime("%Y-%m-%d %H:%M UTC")
    return Markup('<time datetime="{}" data-moment>{}</time>').format(times.to_wire(when), shown)


def _day(when: datetime | None) -> Markup | str:
    if when is None:
        return "–"
    shown = when.strftime("%Y-%m-%d")
    return Markup('<time datetime="{}" data-day>{}</time>').format(times.to_wire(when), shown)


def _remaining(when: datetime) -> timedelta:
    """Return how long it is until a time."""
    return when - times.now()


def _is_keepable(split: Split, keep_days: int) -> bool:
    """Return whether keeping a song would put its deletion off by a day or more."""
    until = times.now() + timedelta(days=keep_days)
    return split.expires_at is not None and until - split.expires_at > timedelta(days=1)


def clock(seconds: float) -> str:
    """Return seconds as ``3:05`` or ``1:02:03``."""
    minutes, rest = divmod(round(abs(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    sign = "−" if seconds < 0 else ""
    if hours:
        return f"{sign}{hours}:{minutes:02d}:{rest:02d}"
    return f"{sign}{minutes}:{rest:02d}"


def credit(seconds: int) -> str:
    """Return seconds as minutes, ``150:00``, without hours, since minutes are what is sold."""
    minutes, rest = divmod(abs(seconds), 60)
    return f"{'−' if seconds < 0 else ''}{minutes}:{rest:02d}"


@pass_context
def _number(page: Context, value: float, decimals: int | None = None) -> str:
    t: Texts = page["t"]
    return t.number(value, decimals)


@pass_context
def _percent(page: Context, share: float) -> str:
    t: Texts = page["t"]
    return t.percent(share)


def _script_texts(t: Texts, *prefixes: str) -> Markup:
    """Return the texts that a script needs, as JSON that is safe within HTML."""
    found = {key: text for prefix in prefixes for key, text in t.under(prefix).items()}
    return Markup(json.dumps(found, ensure_ascii=False).replace("<", "\\u003c"))
