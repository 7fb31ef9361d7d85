"""``/metrics``: what Prometheus scrapes from an API process."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.kit.errors import Unauthorized

router = APIRouter(include_in_schema=False)

NEEDS_TOKEN = "Send the token of AISTEMSPLITTER_SERVER_METRICS_TOKEN: Authorization: Bearer ..."


@router.get("/metrics")
def metrics(request: Request, context: InContext) -> Response:
    """Return all metrics as text. They show how busy the service is, so they need a token."""
    token = context.settings.metrics_token
    given = request.headers.get("authorization", "").encode()
    if token is None or not hmac.compare_digest(
        given, f"Bearer {token.get_secret_value()}".encode()
    ):
        raise Unauthorized(NEEDS_TOKEN)
    text = generate_latest(request.app.state.registry)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
