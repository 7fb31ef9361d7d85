"""Receive webhooks with FastAPI: verify, answer at once, and handle each event once.

AISTEMSPLITTER_WEBHOOK_SECRET=whsec_... uvicorn --app-dir examples fastapi_receiver:app --port 9000
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request

from aistemsplitter import AsyncAiStemSplitter, InvalidWebhook, WebhookEvent

log = logging.getLogger("uvicorn.error")
handled: set[str] = set()  # with several processes, use a table with a unique column


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncAiStemSplitter() as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


async def verified(request: Request) -> WebhookEvent:
    """Return the verified event; answer 400 to anything else."""
    client: AsyncAiStemSplitter = request.app.state.client
    try:
        return client.verify_webhook(request.headers, await request.body())
    except InvalidWebhook as problem:
        raise HTTPException(400, str(problem)) from None


@app.post("/webhooks", status_code=204)
async def receive(
    event: Annotated[WebhookEvent, Depends(verified)], request: Request, later: BackgroundTasks
) -> None:
    if event.id in handled:  # an event may be delivered twice
        return
    handled.add(event.id)
    later.add_task(handle, request.app.state.client, event)  # the response must not wait for this


async def handle(client: AsyncAiStemSplitter, event: WebhookEvent) -> None:
    if event.type == "split.succeeded":
        paths = await client.download_split(event.data, f"stems/{event.data.id}")
        log.info("%s: %s", event.data.id, ", ".join(path.name for path in paths.values()))
    elif event.data.error:
        log.warning("%s failed: %s", event.data.id, event.data.error.message)
