"""The slow part, in a Celery worker: fetching the stems.

cd examples/django_celery && celery -A tasks worker
"""

import os

from celery import Celery

from aistemsplitter import AiStemSplitter, AiStemSplitterError

app = Celery("stems", broker=os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1"))
if folder := os.environ.get("CELERY_BROKER_FOLDER"):  # a broker for trying this out without one
    app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder}


# The SDK retries by itself for a minute; Celery takes over where a service is down for longer.
# Its errors pickle, so they come through any of Celery's result backends.
@app.task(autoretry_for=(AiStemSplitterError,), retry_backoff=True, max_retries=5)
def fetch_stems(split_id: str) -> list[str]:
    with AiStemSplitter() as client:
        paths = client.download_split(split_id, f"stems/{split_id}")  # files there are kept
    return [str(path) for path in paths.values()]
