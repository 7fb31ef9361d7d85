"""Clients' options: headers, keys, proxies, certificates, clients of one's own, derived clients."""

from __future__ import annotations

import json
import pickle
import ssl
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import trustme

from aistemsplitter import (
    AiStemSplitter,
    AsyncAiStemSplitter,
    ClientClosed,
    ConfigurationError,
    ConnectionFailed,
    FileError,
    InputError,
    NotPicklable,
    RateLimited,
    SplitJob,
    UnexpectedResponse,
    UploadFailed,
)
from aistemsplitter._http import exchange
from aistemsplitter.testing import FakeService, Reply
from clients import KEY, Runner
from loopback import Loopback
from ports import free_port

URL = "https://example.com/song.mp3"
OTHER = "https://example.com/other.mp3"


HttpxClient = type("Client", (), {"__module__": "httpx"})  # the library before httpx2


@pytest.fixture
def client(kind: str, loopback: Loopback) -> Any:
    return Runner(kind, base_url=loopback.url)


def keys(loopback: Loopback) -> list[str]:
    return [
        headers["idempotency-key"]
        for method, path, headers in loopback.seen
        if (method, path) == ("POST", "/v1/audio/splits")
    ]


def test_default_headers_go_to_the_api_alone(kind: str, loopback: Loopback, tmp_path: Path) -> None:
    loopback.service._streams = True
    headers = {"X-Gateway": "pass", "user-agent": "my-app/1"}
    client = Runner(kind, base_url=loopback.url, default_headers=headers)
    client.download(client.wait(client.submit(b"RIFF")), tmp_path)
    storage = [seen for _, path, seen in loopback.seen if path.startswith("/storage/")]
    api = [seen for _, path, seen in loopback.seen if not path.startswith("/storage/")]
    assert len(storage) == 5
    assert len(api) >= 4
    assert all((sent["x-gateway"], sent["user-agent"]) == ("pass", "my-app/1") for sent in api)
    assert not any("x-gateway" in sent or "authorization" in sent for sent in storage)


def test_extra_headers_and_body(kind: str, loopback: Loopback) -> None:
    client = Runner(kind, base_url=loopback.url, default_headers={"X-Trace": "default"})
    extra = {"x-trace": "one"}
    job = client.submit(audio_url=URL, extra_headers=extra, extra_body={"priority": "batch"})
    assert json.loads(loopback.service.requests[-1].body)["priority"] == "batch"  # type: ignore[arg-type]
    client.create_upload("a.mp3", content_length=3, extra_headers=extra, extra_body={"x": 1})
    assert json.loads(loopback.service.requests[-1].body)["x"] == 1  # type: ignore[arg-type]
    client.get(job, extra_headers=extra)
    client.wait(job, extra_headers=extra)
    client.delete_split(job, extra_headers=extra)
    client.cancel_split(client.submit(URL, extra_headers=extra), extra_headers=extra)
    client.list_splits(extra_headers=extra)
    client.get_credits(extra_headers=extra)
    client.list_models(extra_headers=extra)
    assert {seen["x-trace"] for _, _, seen in loopback.seen} == {"one"}
    client.get_credits()
    assert loopback.seen[-1][2]["x-trace"] == "default"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Authorization": "Bearer x"}, "api_key="),
        ({"content-length": "1"}, "computed"),
        ({"a b": "c"}, "valid header name"),
        ({"a": "b\r\nc: d"}, "printable"),
        ({"a": 1}, "printable"),
        ("a: b", "mapping"),
    ],
)
def test_headers_are_checked(client: Any, headers: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        client.get_credits(extra_headers=headers)
    with pytest.raises(ConfigurationError, match=says):
        AiStemSplitter("k", default_headers=headers)


def test_with_options_takes_another_key(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        client.with_options(api_key="ast_test_other").get_credits()
        client.get_credits()
    sent = [headers["authorization"] for _, _, headers in loopback.seen]
    assert sent == ["Bearer ast_test_other", f"Bearer {KEY}"]
    assert loopback.open_connections <= 1


def test_derived_clients_leave_the_first_one_open(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        with client.with_options(timeout=5) as derived:
            derived.get_credits()
        with pytest.raises(ClientClosed):
            derived.get_credits()
        with pytest.raises(ClientClosed):
            derived.with_raw_response.get_credits()
        derived = client.with_options(timeout=5).with_options(max_retries=0)
        client.get_credits()
    for closed in (client, derived):
        with pytest.raises(ClientClosed, match="closed"):
            closed.get_credits()
    assert issubclass(ClientClosed, RuntimeError)

    async def main() -> None:
        async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
            async with client.with_options(timeout=5) as derived:
                await derived.get_credits()
            with pytest.raises(ClientClosed):
                await derived.get_credits()
            await client.get_credits()
        with pytest.raises(ClientClosed):
            await client.get_credits()

    anyio.run(main)


def test_derived_clients_do_not_pile_up() -> None:
    with AiStemSplitter("k", transport=FakeService()) as client:
        derived = client
        for _ in range(3):
            derived = derived.with_options(max_retries=1)
        assert derived._root is client


class Mine(AiStemSplitter):
    """A user's subclass."""

    def __init__(self, **options: Any) -> None:
        super().__init__("k", transport=FakeService(), **options)
        self.songs = 7


def test_subclasses_stay_what_they_are() -> None:
    with Mine() as client:
        derived = client.with_options(timeout=5)
        assert isinstance(derived, Mine)
        assert derived.songs == 7
        assert derived.with_raw_response.get_credits().data.balance


def test_clients_do_not_pickle() -> None:
    for client in (AiStemSplitter("ast_secret"), AsyncAiStemSplitter("ast_secret")):
        with pytest.raises(NotPicklable, match="in each process") as caught:
            pickle.dumps(client)
        assert isinstance(caught.value, TypeError)
        assert "ast_secret" not in str(caught.value)


def test_one_key_for_several_submissions(kind: str, loopback: Loopback) -> None:
    def submit(once: Any) -> list[Any]:
        return [once.submit(audio_url=URL), once.submit(audio_url=OTHER), once.submit(b"RIFF")]

    first: list[str] = []
    for _ in range(2):  # as after a crash
        if kind == "sync":
            with AiStemSplitter(KEY, base_url=loopback.url) as sync:
                once = sync.with_options(idempotency_key="order-8")
                found = [*submit(once), once.submit(audio_url=URL)]
        else:

            async def main() -> list[SplitJob]:
                async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as twin:
                    once = twin.with_options(idempotency_key="order-8")
                    jobs = [await job for job in submit(once)]
                    return [*jobs, await once.submit(audio_url=URL)]

            found = anyio.run(main, backend=kind)
        ids = [job.id for job in found]
        assert ids[3] == ids[0]
        assert len(set(ids)) == 3
        first = first or ids
        assert ids == first
    assert keys(loopback) == ["order-8", "order-8-2", "order-8-3", "order-8"] * 2
    with pytest.raises(InputError):
        AiStemSplitter("k", transport=FakeService()).with_options(idempotency_key="a\n")


def test_objects_stand_for_their_ids(client: Any, loopback: Loopback, tmp_path: Path) -> None:
    loopback.service._streams = True
    job = client.submit(audio_url=URL)
    split = client.get(client.get(job))
    assert client.wait(split).id == client.wait(job).id == job.id
    assert len(client.download(job, tmp_path)) == 4
    assert client.cancel_split(client.submit(audio_url=URL)).failed
    assert client.delete_split(split).id == job.id
    for wrong in (None, 7, b"split_1", object(), [split]):
        with pytest.raises(InputError, match="is not a split"):
            client.get_split(wrong)
        with pytest.raises(InputError, match="is not a split"):
            client.download(wrong, tmp_path)


def test_presign_by_path_alone(client: Any, loopback: Loopback, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"RIFF" * 5)
    for path in (song, str(song)):
        upload = client.presign_upload(path)
        sent = json.loads(loopback.service.requests[-1].body or b"")  # type: ignore[arg-type]
        assert sent == {"filename": "song.wav", "contentType": "audio/wav", "contentLength": 20}
    assert httpx2.put(upload.upload_url, content=song.read_bytes()).status_code == 200
    assert client.submit(upload.input).status == "queued"
    for missing in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(FileError) as caught:
            client.presign_upload(missing)
        assert caught.value.filename == str(missing)


def test_errors_carry_the_answer(client: Any, loopback: Loopback) -> None:
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


@pytest.mark.parametrize("url", ["http://a..b", "http://" + "a" * 64 + ".de", "http://a b"])
def test_hosts_that_cannot_be(url: str, kind: str, loopback: Loopback) -> None:
    with pytest.raises(ConfigurationError, match="AISTEMSPLITTER_BASE_URL"):
        AiStemSplitter("k", base_url=url)
    told = {"success": True, "data": {"uploadId": "upl_1", "uploadUrl": f"{url}/x"}}
    loopback.service.answer_next(Reply(200, {}, json.dumps(told).encode()))
    with pytest.raises(UploadFailed):  # and where the service says so
        Runner(kind, base_url=loopback.url, max_retries=0).submit(b"RIFF")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"api_key": b"ast"}, "api_key="),
        ({"base_url": 7}, "base_url= must be a string"),
        ({"timeout": "soon"}, "timeout="),
        ({"max_retries": "3"}, "max_retries="),
        ({"max_retries": None}, "max_retries="),
        ({"proxy": "foo://x"}, "proxy="),
        ({"proxy": "http://[::1"}, "proxy="),
        ({"verify": "/none/such.pem"}, "/none/such.pem"),
        ({"verify": __file__}, "test_options.py"),
        ({"verify": 7}, "verify="),
        ({"http_client": HttpxClient()}, r"must be an httpx2\.\w+, not httpx\.Client"),
        ({"http_client": object(), "proxy": "http://x"}, "http_client="),
        ({"transport": FakeService(), "verify": False}, "transport="),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], says: str) -> None:
    for kind in (AiStemSplitter, AsyncAiStemSplitter):
        with pytest.raises(ConfigurationError, match=says):
            kind(**{"api_key": "k", **wrong})


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ALL_PROXY", "socks5://me:secret@127.0.0.1:9", "ALL_PROXY is a SOCKS proxy.*httpx2.socks"),
        ("https_proxy", "socks5h://127.0.0.1:9", "https_proxy is a SOCKS proxy"),
        ("HTTPS_PROXY", "foo://x", "HTTPS_PROXY is not a valid proxy URL"),
        ("HTTP_PROXY", "http://[::1", "HTTP_PROXY is not a valid proxy URL"),
        ("SSL_CERT_FILE", "/none", "SSL_CERT_FILE=/none cannot be read: No such file"),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE=.*cannot be read"),
    ],
)
def test_wrong_variables_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    if variable.startswith("SSL"):  # the tests' own certificates are passed by argument
        options = exchange.options
        monkeypatch.setattr(exchange, "options", lambda: {**options(), "verify": True})
    monkeypatch.setenv(variable, value)
    for kind in (AiStemSplitter, AsyncAiStemSplitter):
        with pytest.raises(ConfigurationError, match=says) as caught:
            kind("k")
        assert "secret" not in str(caught.value)


def test_a_proxy(kind: str, loopback: Loopback) -> None:
    client = Runner(kind, base_url="http://api.test", proxy=loopback.url)
    loopback.service.answer_next(Reply(200, {}, b'{"success": true, "data": {"balance": 3}}'))
    assert client.get_credits().balance == 3
    assert loopback.seen[0][1] == "http://api.test/v1/credits"


@pytest.mark.parametrize("form", ["path", "folder", "context", "nobody"])
def test_certificates(form: str, kind: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    verify: Any = tmp_path / "ca.pem"
    if form == "context":
        verify = ssl.create_default_context(cafile=verify)
    elif form == "nobody":
        verify = False
    elif form == "folder":
        verify = tmp_path / "hashed"
        verify.mkdir()
    with Loopback(context) as server:
        client = Runner(kind, base_url=server.url, verify=verify, max_retries=0)
        if form == "folder":  # none of its names is a certificate's hash
            with pytest.raises(ConnectionFailed):
                client.get_credits()
        else:
            assert client.get_credits().balance


def test_a_client_of_ones_own(loopback: Loopback) -> None:
    hooked: list[str] = []
    with httpx2.Client(
        auth=("me", "password"),
        follow_redirects=True,
        headers={"x-own": "1"},
        event_hooks={"request": [lambda request: hooked.append(request.method)]},
    ) as own:
        with AiStemSplitter(KEY, base_url=loopback.url, http_client=own) as client:
            client.get_credits()
            loopback.service.answer_next(Reply(307, {"location": loopback.url + "/v1/models"}))
            with pytest.raises(UnexpectedResponse):
                client.get_credits()
        assert not own.is_closed
        with pytest.raises(ClientClosed):
            client.get_credits()
    assert {headers["authorization"] for _, _, headers in loopback.seen} == {f"Bearer {KEY}"}
    assert (hooked, len(loopback.seen)) == (["GET", "GET"], 2)
    with pytest.raises(ClientClosed):
        AiStemSplitter(KEY, base_url=loopback.url, http_client=own).get_credits()


def test_an_async_client_of_ones_own(backend: str, loopback: Loopback) -> None:
    async def main() -> None:
        async with httpx2.AsyncClient() as own:
            options: dict[str, Any] = {"base_url": loopback.url, "http_client": own}
            async with AsyncAiStemSplitter(KEY, **options) as client:
                await client.get_credits()
            assert not own.is_closed
        with pytest.raises(ClientClosed):
            await AsyncAiStemSplitter(KEY, **options).get_credits()

    anyio.run(main, backend=backend)


def test_async_lists_without_an_extra_await(backend: str) -> None:
    async def main() -> None:
        async with AsyncAiStemSplitter("k", transport=FakeService()) as client:
            made = [(await client.submit(audio_url=f"{URL}?{n}")).id for n in range(5)]
            assert [split.id async for split in client.list_splits(limit=2)] == made[::-1]
            listing = client.list(limit=2)
            page = await listing
            assert page.has_next_page()
            assert [split.id async for split in page] == made[::-1]
            assert [split.id async for split in await page.next_page() or ()] == made[2::-1]
            raw = await client.with_raw_response.list_splits(limit=2)
            assert raw.data.next_cursor == page.next_cursor
            client.list_splits()  # neither awaited nor iterated: no warning
            if backend == "asyncio":
                import asyncio

                task = asyncio.create_task(client.list_splits(limit=1))
                assert len((await task).items) == 1
                assert len((await asyncio.gather(client.list_splits()))[0].items) == 5

    anyio.run(main, backend=backend)


def test_raw_downloads(kind: str, loopback: Loopback, tmp_path: Path) -> None:
    loopback.service._streams = True
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        split = client.wait(client.submit(audio_url=URL))
        for number, given in enumerate((split, split.id)):
            raw = client.with_raw_response.download_split(given, tmp_path / str(number))
            assert raw.data["vocals"].name == "vocals.wav"
            assert json.loads(raw.body)["data"]["id"] == split.id
            assert raw.request_id

    if kind != "sync":

        async def main() -> None:
            async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
                raw = await client.with_raw_response.download(split, tmp_path / "async")
                assert raw.status == 200
                assert len(raw.data) == 4

        anyio.run(main, backend=kind)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metadata": 7},
        {"metadata": "a=b"},
        {"stems": 7},
        {"stems": {"vocals"}},
        {"idempotency_key": 7},
        {"extra_body": [1]},
    ],
)
def test_arguments_of_other_types(client: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong)).replace("_", "[_ ]")):
        client.create_split(URL, **wrong)
