"""Receive webhooks with Flask: verify, answer at once, and handle each event once.

AISTEMSPLITTER_WEBHOOK_SECRET=whsec_... flask --app examples/flask_receiver.py run --port 9000
"""

from concurrent.futures import ThreadPoolExecutor

from flask import Flask, abort, request

from aistemsplitter import AiStemSplitter, InvalidWebhook, WebhookEvent

app = Flask(__name__)
client = AiStemSplitter()  # safe to share between threads
later = ThreadPoolExecutor(2)
handled: set[str] = set()  # with several processes, use a table with a unique column


@app.post("/webhooks")
def receive() -> tuple[str, int]:
    try:
        event = client.verify_webhook(request.headers, request.get_data())
    except InvalidWebhook as problem:
        abort(400, str(problem))
    if event.id not in handled:  # an event may be delivered twice
        handled.add(event.id)
        later.submit(handle, event)  # the response must not wait for this
    return "", 204


def handle(event: WebhookEvent) -> None:
    if event.type == "split.succeeded":
        paths = client.download_split(event.data, f"stems/{event.data.id}")
        app.logger.info("%s: %s", event.data.id, ", ".join(path.name for path in paths.values()))
    elif event.data.error:
        app.logger.warning("%s failed: %s", event.data.id, event.data.error.message)
