"""The API key, webhook secret and signatures do not appear in errors, logs or pickles."""

from __future__ import annotations

import logging
import pickle
import re
from typing import Any

import pytest

from aistemsplitter import (
    AiStemSplitter,
    APIError,
    AsyncAiStemSplitter,
    NotPicklable,
)
from aistemsplitter.testing import Reply
from clients import KEY, Runner
from loopback import Loopback

URL = "https://example.com/song.mp3"


def test_errors_show_no_key(client: Any, loopback: Loopback) -> None:
    loopback.service.fail_next(400, "BAD")
    with pytest.raises(APIError) as caught:
        client.get_credits()
    assert KEY not in repr(caught.value) + str(caught.value) + repr(caught.value.__dict__)


def test_logs_show_no_secret(
    caplog: pytest.LogCaptureFixture,
    kind: str,
    loopback: Loopback,
    tmp_path: Any,
) -> None:
    """Use every feature at the level DEBUG, with its failures."""
    caplog.set_level(logging.DEBUG)
    loopback.service._stem_audio = b"x" * 300_000
    client = Runner(kind, base_url=loopback.url, webhook_secret="whsec_topsecret")
    loopback.service.fail_next(503)
    job = client.submit(b"RIFF")
    for status in (401, 402, 404, 409, 422):
        loopback.service.fail_next(status)
        with pytest.raises(APIError):
            client.get_credits()
    loopback.fault("reset", "credits")
    client.get_credits()
    client.models()
    client.list_splits()
    upload = client.create_upload("song.mp3", content_length=4)
    split = client.wait(job.id)
    elsewhere = Reply(302, {"location": split.stems["bass"]})
    loopback.service.answer_next(elsewhere, path="/storage/")
    loopback.fault("cut", "^/storage/", at=200_000)
    loopback.fault("corrupt", "^/storage/", at=1000)
    client.download(split, tmp_path, parallel=1)
    loopback.service.expire_urls()
    client.download(split, tmp_path, overwrite=True)
    delivery = loopback.service.webhook(job.id, "whsec_topsecret")
    AiStemSplitter(KEY, webhook_secret="whsec_topsecret").verify_webhook(
        delivery.headers, delivery.body
    )
    client.delete_split(job.id)
    client.cancel_split(client.submit(audio_url=URL).id)
    assert "/audio/splits" in caplog.text
    assert "b'...'" in caplog.text  # the redirect's target
    assert "HTTP Request" in caplog.text  # the HTTP library's own log is included
    assert upload.direct is not None
    signatures = re.findall(r"signature=([0-9a-f]+)", upload.direct.url + str(dict(split.stems)))
    assert len(signatures) == 5
    for secret in (KEY, "signature=", "whsec_topsecret", *signatures):
        assert secret not in caplog.text


def test_clients_do_not_pickle() -> None:
    for client in (AiStemSplitter("ast_secret"), AsyncAiStemSplitter("ast_secret")):
        with pytest.raises(NotPicklable, match="in each process") as caught:
            pickle.dumps(client)
        assert isinstance(caught.value, TypeError)
        assert "ast_secret" not in str(caught.value)
