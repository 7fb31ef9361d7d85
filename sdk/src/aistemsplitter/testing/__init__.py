"""Test helpers: a fake service in place of the network, and signed webhook deliveries.

    from aistemsplitter import AiStemSplitter
    from aistemsplitter.testing import FakeService

    service = FakeService()
    client = AiStemSplitter("ast_test_key", transport=service)
    job = client.create_split(audio_url="https://example.com/song.mp3")
    service.fail_next(429, retry_after=0)  # the client retries
    result = client.get_split(job.id)

``AsyncAiStemSplitter`` accepts the same ``transport=service``. ``split_succeeded`` and
``split_failed`` create webhook deliveries with valid signatures, for tests of receivers.
"""

from aistemsplitter._effects import Reply, Request
from aistemsplitter.testing._events import SECRET, Delivery, sign, split_failed, split_succeeded
from aistemsplitter.testing._service import FakeService

__all__ = [
    "SECRET",
    "Delivery",
    "FakeService",
    "Reply",
    "Request",
    "sign",
    "split_failed",
    "split_succeeded",
]
