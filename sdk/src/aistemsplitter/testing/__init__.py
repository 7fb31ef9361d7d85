"""Test code that uses the client, without a server.

    from aistemsplitter import AiStemSplitter
    from aistemsplitter.testing import FakeService

    service = FakeService()
    client = AiStemSplitter("ast_test_key", transport=service)
    job = client.create_split(audio_url="https://example.com/song.mp3")
    service.fail_next(429, retry_after=0)  # the client tries again
    result = client.get_split(job.id)

``AsyncAiStemSplitter`` takes the same ``transport=service``. ``split_succeeded`` and
``split_failed`` make webhook deliveries with valid signatures, for tests of receivers.
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
