"""Download the stems in a Celery worker.

cd examples/django_celery && celery -A tasks worker
"""

import os

from celery import Celery

from aistemsplitter import AiStemSplitter, AiStemSplitterError

app = Celery("stems", broker=os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1"))
if folder := os.environ.get("CELERY_BROKER_FOLDER"):  # a file-based broker, to try this out
    app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder}


# The SDK retries for up to a minute; Celery retries when the service is down for longer.
# The SDK's errors can be pickled, so they work with all result backends of Celery.
@app.task(autoretry_for=(AiStemSplitterError,), retry_backoff=True, max_retries=5)
def fetch_stems(split_id: str) -> list[str]:
    with AiStemSplitter() as client:
        paths = client.download_split(split_id, f"stems/{split_id}")  # keeps complete files
    return [str(path) for path in paths.values()]
