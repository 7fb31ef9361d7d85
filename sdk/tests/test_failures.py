"""Errors that failed calls raise, and the attributes of the errors."""

from __future__ import annotations

import json
import pickle
import ssl
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter import (
    AiStemSplitter,
    ConfigurationError,
    ConnectionFailed,
    DeadlineExceeded,
    FileError,
    RateLimited,
    RedirectRefused,
    Timeouts,
    UnexpectedResponse,
    UploadFailed,
)
from aistemsplitter.testing import Reply
from clients import Runner
from loopback import Loopback
from ports import free_port

URL = "https://example.com/song.mp3"


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_dropped_connections_raise_one_error(client: Any, loopback: Loopback, fault: str) -> None:
    loopback.fault(fault, "credits", at=3, times=99)
    with pytest.raises(ConnectionFailed):
        client.get_credits()
    assert len(loopback.seen) == 5


def test_a_stalled_response_times_out(kind: str, loopback: Loopback) -> None:
    loopback.fault("stall", "credits", at=5, times=9)
    client = Runner(kind, base_url=loopback.url, timeout=Timeouts(read=0.1), max_retries=1)
    with pytest.raises(DeadlineExceeded, match=r"silent for 0\.1 s"):
        client.get_credits()
    assert len(loopback.seen) == 2


def test_the_deadline_ends_a_stalled_call(kind: str, loopback: Loopback) -> None:
    loopback.fault("stall", "credits", at=5, times=9)
    client = Runner(kind, base_url=loopback.url, timeout=0.2)
    with pytest.raises(DeadlineExceeded, match="deadline"):
        client.get_credits()


def test_server_down(kind: str) -> None:
    client = Runner(kind, base_url=f"http://127.0.0.1:{free_port()}", max_retries=1)
    with pytest.raises(
        ConnectionFailed, match=r"no answer from 127\.0\.0\.1:\d+: Connection refused"
    ):
        client.get_credits()


def test_tls_failure(kind: str, loopback: Loopback) -> None:
    https = loopback.url.replace("http:", "https:")
    with pytest.raises(ConnectionFailed) as caught:  # plain HTTP behind an https URL
        Runner(kind, base_url=https, max_retries=0).get_credits()
    assert caught.value.code == "TLS_FAILED"
    assert not isinstance(caught.value.__cause__, ssl.SSLError)


def test_html_and_redirects(client: Any, loopback: Loopback) -> None:
    html = Reply(200, {"content-type": "text/html"}, b"<html>sign in</html>")
    loopback.service.answer_next(html)
    with pytest.raises(UnexpectedResponse, match="base URL"):
        client.get_credits()
    with Loopback() as other:
        loopback.service.answer_next(Reply(307, {"location": other.url + "/v1/credits"}))
        with pytest.raises(RedirectRefused):
            client.get_credits()
        assert not other.seen


def test_a_response_that_is_too_long(monkeypatch: pytest.MonkeyPatch, client: Any) -> None:
    monkeypatch.setattr("aistemsplitter._http.exchange.LARGEST_REPLY", 10)
    with pytest.raises(ConnectionFailed, match="longer than"):
        client.get_credits()


@pytest.mark.parametrize("url", ["http://a..b", "http://" + "a" * 64 + ".de", "http://a b"])
def test_impossible_hosts(url: str, kind: str, loopback: Loopback) -> None:
    with pytest.raises(ConfigurationError, match="AISTEMSPLITTER_BASE_URL"):
        AiStemSplitter("k", base_url=url)
    reply = {"success": True, "data": {"uploadId": "upl_1", "uploadUrl": f"{url}/x"}}
    loopback.service.answer_next(Reply(200, {}, json.dumps(reply).encode()))
    with pytest.raises(UploadFailed):  # also in the service's response
        Runner(kind, base_url=loopback.url, max_retries=0).submit(b"RIFF")


def test_errors_have_the_response(client: Any, loopback: Loopback) -> None:
    loopback.service.fail_next(429, message="slow down", retry_after=7, times=9, hint="later")
    with pytest.raises(RateLimited) as caught:
        Runner("sync", base_url=loopback.url, max_retries=0).get_credits()
    response = caught.value.response
    assert response is not None
    assert (response.status, response.headers["retry-after"]) == (429, "7")
    assert response.json()["error"]["hint"] == "later"
    assert "slow down" in response.text
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.response == response
    loopback.service._faults.clear()

    body = b'{"success": true, "data": {"id": "split_paid", "credits": 1}}'
    loopback.service.answer_next(Reply(200, {"set-cookie": "a=b"}, body))
    with pytest.raises(UnexpectedResponse, match=r"data\.status is missing") as unexpected:
        client.submit(audio_url=URL)
    assert unexpected.value.response.json()["data"]["id"] == "split_paid"
    assert unexpected.value.status == 200
    assert "set-cookie" not in unexpected.value.response.headers

    loopback.service.answer_next(Reply(302, {"location": "https://x/?signature=s"}))
    with pytest.raises(UnexpectedResponse) as redirected:
        client.get_credits()
    assert redirected.value.response.status == 302
    assert "location" not in redirected.value.response.headers

    loopback.service.answer_next(Reply(400, {}, b"<Error/>"), path="/storage/")
    with pytest.raises(UploadFailed) as failed:
        client.submit(b"RIFF")
    assert failed.value.response.body == b"<Error/>"
    assert failed.value.__cause__.status == 400


def test_errors_keep_their_causes(kind: str, tmp_path: Path) -> None:
    client = Runner(kind, base_url=f"http://127.0.0.1:{free_port()}", max_retries=0)
    with pytest.raises(FileError) as missing:
        client.submit(tmp_path / "none.wav")
    for error in (missing.value, pickle.loads(pickle.dumps(missing.value))):
        assert isinstance(error, OSError)
        assert isinstance(error.__cause__, FileNotFoundError)
        assert error.errno == error.__cause__.errno
        assert error.filename == str(tmp_path / "none.wav")
        assert str(error).startswith(f"{tmp_path / 'none.wav'}: cannot be read: No such file")
    with pytest.raises(ConnectionFailed) as refused:
        client.get_credits()
    for failed in (refused.value, pickle.loads(pickle.dumps(refused.value))):
        assert isinstance(failed.__cause__, ConnectionRefusedError)
        assert failed.__cause__.__traceback__ is None
