"""``/sign-in``, ``/sign-out``, ``/join/...`` and the choice of language."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from aistemsplitter_server.accounts import people, queries, sign_ins
from aistemsplitter_server.accounts.people import WrongPassword
from aistemsplitter_server.accounts.tables import Account, Person
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http import rate_limits
from aistemsplitter_server.http.context import Context, InContext
from aistemsplitter_server.kit import logs
from aistemsplitter_server.kit.errors import AccountSuspended, ApiError, RateLimited
from aistemsplitter_server.web import pages, sessions
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import Visitor
from aistemsplitter_server.web.texts import LANGUAGES

router = APIRouter()

HOME = "/studio"
# Attempts per minute from one network, the burst, and how many times as many one person has from
# all networks together: so that one attacker cannot lock a person out.
ATTEMPTS, BURST, NETWORKS = 6, 12, 5
LOCAL = {"localhost", "127.0.0.1", "::1"}  # where browsers keep a secure cookie without https too
YEAR = 365 * 86400


class SignInForm(Form):
    """Email address and password."""

    email: str = Field(max_length=300)
    password: str = Field(max_length=people.LONGEST)
    next: str = Field(HOME, max_length=2000)


class JoinForm(Form):
    """What someone chooses who follows a link; an email address only for a new person."""

    email: str = Field("", max_length=300)
    password: str


class LanguageForm(Form):
    """The language to show, and the page to return to."""

    language: str
    back: str = Field("/", max_length=2000)


@router.get("/")
def front(who: Visitor) -> Response:
    """Redirect to the studio, or to the sign-in page."""
    return RedirectResponse(HOME if who else "/sign-in", 303)


@router.get("/sign-in")
def show_sign_in(request: Request, who: Visitor, next: str = HOME) -> Response:
    """Show the form."""
    if who is not None:
        return RedirectResponse(_own(next), 303)
    return render(request, "sign_in.html", next=next, email="", fault=None, safe=_safe(request))


@router.post("/sign-in")
def do_sign_in(
    request: Request, context: InContext, form: Annotated[SignInForm, Depends(filled(SignInForm))]
) -> Response:
    """Sign in. An error does not reveal whether the person exists."""
    email, t = form.email.lower(), pages.language_of(request)
    try:
        count_attempt(request, context, email)
        with context.database.read() as session:
            person = queries.person(session, email)
        try:
            people.verify(form.password, person.password_hash if person else None)
        except WrongPassword:
            _record_failure(context, request, person)
            raise
        assert person is not None
        response = RedirectResponse(_own(form.next), 303)
        _welcome(context, request, response, person)
    except WrongPassword:
        status, fault = 401, t("sign_in.wrong")
    except (RateLimited, AccountSuspended) as error:
        status, fault = error.status, pages.message(t, error)
    else:
        return response
    logs.add_fields(address=_address(request))
    return render(
        request,
        "sign_in.html",
        status=status,
        next=form.next,
        email=form.email,
        fault=fault,
        safe=_safe(request),
    )


@router.post("/sign-out")
def sign_out(request: Request, context: InContext, who: Visitor) -> Response:
    """End this sign-in."""
    sessions.end(context, request)
    if who is not None:
        with context.database.write() as session:
            audit.record(session, who.account_id, who.person_id, Action.SIGNED_OUT)
    response = RedirectResponse("/sign-in", 303)
    sessions.forget(response)
    return response


@router.get("/join/{token}")
def show_join(request: Request, context: InContext, token: str) -> Response:
    """Show the page of a one-time link without using it up: mail programs open links too."""
    return _join_page(request, context, token)


@router.post("/join/{token}")
def join(
    request: Request,
    context: InContext,
    token: str,
    form: Annotated[JoinForm, Depends(filled(JoinForm))],
) -> Response:
    """Join, or choose a new password, and sign in."""
    try:
        count_attempt(request, context, token[:8])
        with context.database.read() as session:  # without a valid link, no password is hashed
            people.usable(session, context.secrets, token)
        password_hash = people.hashed(form.password)
        with context.database.write() as session:
            link = people.usable(session, context.secrets, token)
            person = people.follow(session, context.secrets, token, form.email, password_hash)
            action = Action.PASSWORD_CHANGED if link.person_id else Action.PERSON_JOINED
            email = None if link.person_id else person.email
            audit.record(session, person.account_id, person.id, action, person.id, email=email)
    except ApiError as error:
        return _join_page(request, context, token, error=error, email=form.email)
    response = RedirectResponse(HOME, 303)
    _welcome(context, request, response, person)
    return response


@router.post("/language")
def choose_language(form: Annotated[LanguageForm, Depends(filled(LanguageForm))]) -> Response:
    """Change the language of the pages."""
    response = RedirectResponse(_own(form.back), 303)
    if form.language in LANGUAGES:
        response.set_cookie(
            pages.LANGUAGE, form.language, max_age=YEAR, httponly=True, samesite="lax"
        )
    return response


def _join_page(
    request: Request,
    context: Context,
    token: str,
    *,
    error: ApiError | None = None,
    email: str = "",
) -> Response:
    with context.database.read() as session:
        link = people.usable(session, context.secrets, token)
        account = session.get_one(Account, link.account_id)
        person = session.get(Person, link.person_id) if link.person_id else None
    t = pages.language_of(request)
    return render(
        request,
        "join.html",
        status=error.status if error else 200,
        account=account,
        person=person,
        email=email,
        fault=error and pages.message(t, error),
        shortest=people.SHORTEST,
        safe=_safe(request),
    )


def _welcome(context: Context, request: Request, response: Response, person: Person) -> None:
    with context.database.write() as session:
        token = sign_ins.begin(
            session,
            context.secrets,
            person,
            user_agent=request.headers.get("user-agent", ""),
            address=_address(request),
        )
        audit.record(
            session, person.account_id, person.id, Action.SIGNED_IN, address=_address(request)
        )
    sessions.begin(context, request, response, token)


def _record_failure(context: Context, request: Request, person: Person | None) -> None:
    """Record a failed sign-in, without the typed email address, which may be a password."""
    if person is not None:
        logs.add_fields(account_id=person.account_id, person_id=person.id)
    with context.database.write() as session:
        audit.record(
            session,
            person.account_id if person else None,
            audit.ANONYMOUS,
            Action.SIGN_IN_FAILED,
            person.id if person else None,
            address=_address(request),
        )


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def count_attempt(request: Request, context: Context, whom: str) -> None:
    """Slow down password guessing, per network and per person."""
    network = f"from {rate_limits.neighbourhood(_address(request))}"
    for who, cost in ((network, NETWORKS), (f"as {whom}", 1)):
        context.limits.count_attempt(who, ATTEMPTS * NETWORKS, burst=BURST * NETWORKS, cost=cost)


def _own(path: str) -> str:
    """Return the path of one of our own pages, never of another site."""
    ours = path.startswith("/") and "\\" not in path and path.isprintable()
    return path if ours and not path.startswith("//") else HOME


def _safe(request: Request) -> bool:
    """Return whether the browser will keep the cookie."""
    return request.url.scheme == "https" or request.url.hostname in LOCAL
