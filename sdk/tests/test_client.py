"""Every call against the fake service, over a real socket, sync and async alike."""

from __future__ import annotations

import json
import logging
import re
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from aistemsplitter import (
    AiStemSplitter,
    APIError,
    AsyncAiStemSplitter,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    IdempotencyMismatch,
    InputError,
    InsufficientCredits,
    NotFound,
    RedirectRefused,
    Timeouts,
    Unauthorized,
    UnexpectedResponse,
    ValidationFailed,
)
from aistemsplitter.testing import FakeService, Reply
from clients import KEY, Runner
from loopback import Loopback
from ports import free_port

URL = "https://example.com/song.mp3"
CREATE = r"^/v1/audio/splits$"


def keys(loopback: Loopback) -> list[str]:
    return [
        headers["idempotency-key"]
        for method, path, headers in loopback.seen
        if (method, path) == ("POST", "/v1/audio/splits")
    ]


@pytest.fixture
def client(kind: str, loopback: Loopback) -> Any:
    return Runner(kind, base_url=loopback.url)


def test_submit_and_read(client: Any, loopback: Loopback) -> None:
    job = client.create_split(
        input={"type": "direct_url", "url": URL}, stem_model="htdemucs_ft", metadata={"song": "7"}
    )
    assert job.status == "queued"
    split = client.get_split(job.id)
    assert (split.id, split.metadata, split.filename) == (job.id, {"song": "7"}, "song.mp3")
    told = json.loads(loopback.service.requests[0].body or b"")  # type: ignore[arg-type]
    assert told == {
        "input": {"type": "direct_url", "url": URL},
        "stemModel": "htdemucs_ft",
        "metadata": {"song": "7"},
    }


def test_short_forms(client: Any) -> None:
    job = client.submit(audio_url=URL, model="htdemucs_6s", stems=["vocals"], output_format="flac")
    split = client.wait(job.id)
    assert list(split.stems) == ["vocals"]
    assert split.stem_model == "htdemucs_6s"
    assert client.submit(URL).status == "queued"
    assert client.submit("HTTPS" + URL.removeprefix("https")).status == "queued"


def test_cancel_delete_credits_models(client: Any) -> None:
    assert client.get_credits().balance == 36_000
    job = client.submit(audio_url=URL)
    cancelled = client.cancel_split(job.id)
    assert cancelled.failed
    assert cancelled.error.code == "CANCELED"
    assert client.cancel_split(job.id).failed  # as good as the first time
    assert client.get_credits().balance == 36_000
    assert client.delete_split(job.id).deleted
    with pytest.raises(NotFound):
        client.get_split(job.id)
    with pytest.raises(NotFound):
        client.delete_split(job.id)
    assert {model.id for model in client.models()} == {"htdemucs", "htdemucs_ft", "htdemucs_6s"}


def test_what_is_done_cannot_be_cancelled(client: Any) -> None:
    job = client.submit(audio_url=URL)
    client.wait(job.id)
    with pytest.raises(Conflict):
        client.cancel_split(job.id)


def test_delete_that_lost_its_answer(client: Any, loopback: Loopback) -> None:
    job = client.submit(audio_url=URL)
    loopback.fault("reset_after", job.id)
    assert client.delete_split(job.id).deleted


def test_one_split_and_one_key_over_all_retries(client: Any, loopback: Loopback) -> None:
    loopback.fault("reset", CREATE)
    loopback.fault("reset_after", CREATE)
    loopback.fault("cut", CREATE, at=20)
    client.submit(audio_url=URL)
    assert len(keys(loopback)) == 4
    assert len(set(keys(loopback))) == 1
    assert loopback.service.balance == 36_000 - 180


def test_two_calls_have_two_keys(client: Any, loopback: Loopback) -> None:
    client.submit(audio_url=URL)
    client.submit(audio_url=URL)
    assert len(set(keys(loopback))) == 2


def test_own_idempotency_key(client: Any) -> None:
    first = client.submit(audio_url=URL, idempotency_key="order-7")
    assert client.submit(audio_url=URL, idempotency_key="order-7").id == first.id
    with pytest.raises(IdempotencyMismatch):
        client.submit(audio_url=URL + "?other", idempotency_key="order-7")
    for bad in ("", "x" * 256, "line\nbreak", "schlüssel"):
        with pytest.raises(InputError):
            client.submit(audio_url=URL, idempotency_key=bad)


def test_not_enough_credits(client: Any, loopback: Loopback) -> None:
    loopback.service.balance = 100
    with pytest.raises(InsufficientCredits, match="80 seconds missing"):
        client.submit(audio_url=URL)


def test_unauthorized_and_invalid(client: Any, loopback: Loopback) -> None:
    with pytest.raises(ValidationFailed, match="stemModel"):
        client.submit(audio_url=URL, model="htdemucs_9s")
    loopback.service._api_key = "another"
    with pytest.raises(Unauthorized):
        client.get_credits()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"input": URL, "audio_url": URL},
        {"audio_url": URL, "model": "a", "stem_model": "b"},
        {"audio_url": URL, "stems": "vocals"},
        {"audio_url": URL, "metadata": {"a": object()}},
        {"input": 7},
    ],
)
def test_wrong_arguments(client: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        client.create_split(**wrong)


def test_ids_stay_in_their_path(client: Any, loopback: Loopback) -> None:
    with pytest.raises(NotFound):
        client.get_split("../../credits?x=#")
    assert loopback.seen[-1][1] == "/v1/audio/splits/..%2F..%2Fcredits%3Fx%3D%23"
    for bad in ("", "..", None):
        with pytest.raises(InputError):
            client.get_split(bad)


def test_pages() -> None:
    service = FakeService()
    with AiStemSplitter("k", transport=service) as client:
        made = [client.submit(audio_url=URL).id for _ in range(5)]
        page = client.list_splits(limit=2)
        assert len(page.items) == 2
        assert [split.id for split in page] == made[::-1]
        assert [split.id for split in client.list(status="succeeded")] == []

    async def main() -> None:
        async with AsyncAiStemSplitter("k", transport=service) as client:
            page = await client.list_splits(limit=2)
            assert [split.id async for split in page] == made[::-1]
            following = await page.next_page()
            assert following is not None
            assert [split.id for split in following.items] == made[2:0:-1]

    anyio.run(main)


def test_raw_responses(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        raw = client.with_raw_response.submit(audio_url=URL)
        assert raw.status == 200
        assert raw.request_id == raw.headers["request-id"]
        assert raw.data.id == json.loads(raw.body)["data"]["id"]
        assert client.with_raw_response.list_splits().data.items[0].id == raw.data.id

    async def main() -> None:
        async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
            raw = await client.with_raw_response.get_credits()
            assert raw.data.balance == 36_000 - 180
            assert raw.request_id

    anyio.run(main)


def test_with_options(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        once = client.with_options(max_retries=0, timeout=5, idempotency_key="order-8")
        loopback.fault("reset", CREATE)
        with pytest.raises(ConnectionFailed):
            once.submit(audio_url=URL)
        once.submit(audio_url=URL)
        assert keys(loopback) == ["order-8", "order-8"]
        client.submit(audio_url=URL)
        assert keys(loopback)[-1] != "order-8"


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_broken_lines_end_as_one_error(client: Any, loopback: Loopback, fault: str) -> None:
    loopback.fault(fault, "credits", at=3, times=99)
    with pytest.raises(ConnectionFailed):
        client.get_credits()
    assert len(loopback.seen) == 5


def test_a_stalled_answer_times_out(kind: str, loopback: Loopback) -> None:
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


def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, client: Any) -> None:
    monkeypatch.setattr("aistemsplitter._http.exchange.LARGEST_REPLY", 10)
    with pytest.raises(ConnectionFailed, match="longer than"):
        client.get_credits()


def test_cookies_are_not_kept(loopback: Loopback) -> None:
    loopback.service.answer_next(
        Reply(200, {"set-cookie": "a=b; Path=/"}, b'{"success": true, "data": {"balance": 1}}')
    )
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        client.get_credits()
        client.get_credits()
    assert "cookie" not in loopback.seen[-1][2]


@pytest.mark.parametrize("key", ["", " ", "ast\n", " ast", "a b", "schlüssel", "a\0"])
def test_malformed_keys(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AiStemSplitter(key)
    assert not key.strip() or key not in str(caught.value)


def test_no_key() -> None:
    with pytest.raises(ConfigurationError, match="AISTEMSPLITTER_API_KEY"):
        AsyncAiStemSplitter()


def test_environment(monkeypatch: pytest.MonkeyPatch, loopback: Loopback) -> None:
    monkeypatch.setenv("AISTEMSPLITTER_API_KEY", "from_environment")
    monkeypatch.setenv("AISTEMSPLITTER_BASE_URL", loopback.url)
    with AiStemSplitter() as client:
        client.get_credits()
    with AiStemSplitter(api_key="given") as client:
        client.get_credits()
    sent = [headers["authorization"] for _, _, headers in loopback.seen]
    assert sent == ["Bearer from_environment", "Bearer given"]


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://x/v1", "https://", "http://a@b/v1", "http://x/v1?a=1",
            "http://[::1", "http://x:99999"],
)  # fmt: skip
def test_wrong_base_urls(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        AiStemSplitter("k", base_url=url)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": Timeouts(read=0)},
        {"max_retries": -1},
    ],
)
def test_wrong_numbers(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AiStemSplitter("k", **options)


def test_threads_share_a_client(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client, ThreadPoolExecutor(32) as pool:
        ids = [job.id for job in pool.map(lambda _: client.submit(audio_url=URL), range(64))]
        assert len(set(ids)) == 64
    assert loopback.service.balance == 36_000 - 64 * 180
    assert threading.active_count() < 40


def test_threads_do_whole_splits_with_one_client(loopback: Loopback, tmp_path: Any) -> None:
    loopback.service._streams = True

    def whole(number: int) -> int:
        job = client.submit(audio_url=URL)
        paths = client.download(client.wait(job.id), tmp_path / str(number))
        return len({path.read_bytes() for path in paths.values()}) + len(paths)

    with AiStemSplitter(KEY, base_url=loopback.url) as client, ThreadPoolExecutor(32) as pool:
        assert list(pool.map(whole, range(32))) == [1 + 4] * 32


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
    """At DEBUG, with every feature used, and what may go wrong with each."""
    caplog.set_level(logging.DEBUG)
    loopback.service._stem_audio = b"x" * 300_000
    client = Runner(kind, base_url=loopback.url, webhook_secret="whsec_topsecret")
    loopback.service.fail_next(503)
    job = client.submit(b"RIFF")
    for trouble in (401, 402, 404, 409, 422):
        loopback.service.fail_next(trouble)
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
    assert "HTTP Request" in caplog.text  # the HTTP library's own log is looked at too
    assert upload.direct is not None
    signatures = re.findall(r"signature=([0-9a-f]+)", upload.direct.url + str(dict(split.stems)))
    assert len(signatures) == 5
    for secret in (KEY, "signature=", "whsec_topsecret", *signatures):
        assert secret not in caplog.text
