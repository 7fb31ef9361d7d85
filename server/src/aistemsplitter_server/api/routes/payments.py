"""``/payments``: the payment provider's webhook."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response

from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.payments import returns, service
from aistemsplitter_server.payments.interface import Reversal

router = APIRouter(prefix="/payments", include_in_schema=False)


async def _raw(request: Request) -> bytes:
    """Return the exact bytes of the body, which are what is signed."""
    return await request.body()


@router.post("/stripe")
def receive_stripe_event(
    context: InContext,
    body: Annotated[bytes, Depends(_raw)],
    stripe_signature: Annotated[str | None, Header()] = None,
) -> Response:
    """Receive an event from Stripe. The response is 200 once it is processed, or is not for us."""
    if context.payments is None:
        raise NotFound
    reported = context.payments.receive(body, stripe_signature)
    if reported is not None:
        with context.database.write() as session:
            if isinstance(reported, Reversal):
                returns.book(session, reported)
            else:
                service.settle(session, reported)
    return Response()
