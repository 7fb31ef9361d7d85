"""Errors as responses, unexpected exceptions too. Those of the API have the contract's shape.

The pages respond to the same errors in their own way (``web/app.py``).
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aistemsplitter_server.kit.database import AWAY, is_full
from aistemsplitter_server.kit.errors import (
    ApiError,
    Internal,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unavailable,
    ValidationFailed,
)
from aistemsplitter_server.storage.interface import StorageFailed

logger = logging.getLogger(__name__)

Answer = Callable[[Request, ApiError], Response]
MOST_FAULTS = 50  # in one response
PLACES = {"body", "query", "path", "header", "cookie"}


def in_json(_request: Request, error: ApiError) -> Response:
    """Return the API's response to an error."""
    headers = error.headers
    if isinstance(error, PayloadTooLarge):
        headers = {**headers, "Connection": "close"}  # the rest of the body is not read
    return JSONResponse(error.envelope(), status_code=error.status, headers=headers)


class Faults:
    """ASGI middleware that responds to errors from other middleware and to unexpected ones."""

    def __init__(self, app: ASGIApp, answer: Answer = in_json) -> None:
        self.app = app
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except ClientDisconnect:
            return  # the client is gone; the request's log line shows it
        except Exception as error:
            api_error = _as_api_error(error)
            if api_error is None:
                logger.exception("unhandled exception")
                api_error = Internal()
            if started:
                raise  # half a response was sent; only closing the connection can tell the client
            await self.answer(Request(scope), api_error)(scope, receive, send)


def install(app: FastAPI, answer: Answer = in_json) -> None:
    """Install the handlers that turn errors into responses."""

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [_fault(each, error.body) for each in error.errors()[:MOST_FAULTS]]
        return answer(request, ValidationFailed(faults))

    async def known(request: Request, error: Exception) -> Response:
        api_error = _as_api_error(error)
        if api_error is None:
            raise error
        return answer(request, api_error)

    for kind in (ApiError, OSError, *AWAY):
        app.exception_handler(kind)(known)

    @app.exception_handler(HTTPException)
    async def _framework(request: Request, error: HTTPException) -> Response:
        return answer(request, _translated(error))


def _as_api_error(error: Exception) -> ApiError | None:
    """Return the error that the caller gets; None if it is an internal one."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AWAY):
        # The driver's own message: SQLAlchemy's would quote the statement with its parameters.
        reason = error.orig if isinstance(error, DBAPIError) else error
        logger.error("the database cannot be used: %s", reason)
        return _full() if is_full(reason) else Unavailable("The database cannot be reached.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        logger.error("the disk is full: %s", error)
        return _full()
    if isinstance(error, StorageFailed):
        logger.error("%s", error)
        return Unavailable("The storage cannot be reached.")
    return None


def _full() -> Unavailable:
    return Unavailable("The storage is full.", retry_after=60)


def _translated(error: HTTPException) -> ApiError:
    """Return our error for one that the framework raised."""
    headers = error.headers
    if error.status_code == 404:
        return NotFound()
    if error.status_code == 405:
        return MethodNotAllowed(headers=headers)
    if error.status_code == 400:  # a body that cannot be decoded
        return ValidationFailed([("body", "cannot be read")])
    return Internal()


def _fault(fault: dict[str, Any], body: Any) -> tuple[str, str]:
    """Return the path of an invalid field, as in the request, and its fault, without its value."""
    if fault["type"] == "json_invalid":
        return "body", "is not valid JSON"
    where: Sequence[int | str] = fault["loc"]
    path = where[1:] if where and where[0] in PLACES else where
    reason = "is not a known field" if fault["type"] == "extra_forbidden" else fault["msg"]
    written = ".".join(map(str, _written(path, body)))
    return written or "body", reason.removeprefix("Value error, ")


def _written(path: Sequence[int | str], body: Any) -> Iterator[int | str]:
    """Yield the path without the names of union members, which are not in the body."""
    for name in path[:-1]:
        if isinstance(body, dict):
            if name not in body:
                continue
            body = body[name]
        yield name
    yield from path[-1:]
