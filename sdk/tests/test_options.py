"""Headers and body fields of single calls, and clients with other options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aistemsplitter import (
    AiStemSplitter,
    AsyncAiStemSplitter,
    ClientClosed,
    ConfigurationError,
    ConnectionFailed,
    InputError,
    SplitJob,
)
from aistemsplitter.testing import FakeService
from clients import KEY, Runner
from loopback import Loopback

URL = "https://example.com/song.mp3"
OTHER = "https://example.com/other.mp3"


def test_default_headers_are_only_sent_to_the_api(
    kind: str, loopback: Loopback, tmp_path: Path
) -> None:
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
    assert loopback.last_json()["priority"] == "batch"
    client.create_upload("a.mp3", content_length=3, extra_headers=extra, extra_body={"x": 1})
    assert loopback.last_json()["x"] == 1
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


def test_with_options(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        once = client.with_options(max_retries=0, timeout=5, idempotency_key="order-8")
        loopback.fault("reset", r"^/v1/audio/splits$")
        with pytest.raises(ConnectionFailed):
            once.submit(audio_url=URL)
        once.submit(audio_url=URL)
        assert loopback.idempotency_keys() == ["order-8", "order-8"]
        client.submit(audio_url=URL)
        assert loopback.idempotency_keys()[-1] != "order-8"


def test_with_options_takes_another_key(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        client.with_options(api_key="ast_test_other").get_credits()
        client.get_credits()
    sent = [headers["authorization"] for _, _, headers in loopback.seen]
    assert sent == ["Bearer ast_test_other", f"Bearer {KEY}"]
    assert loopback.open_connections <= 1


def test_closing_a_derived_client_keeps_the_first_one_open(loopback: Loopback) -> None:
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


def test_derived_clients_refer_to_the_first_client() -> None:
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


def test_subclasses_keep_their_type() -> None:
    with Mine() as client:
        derived = client.with_options(timeout=5)
        assert isinstance(derived, Mine)
        assert derived.songs == 7
        assert derived.with_raw_response.get_credits().data.balance


def test_one_key_for_several_submissions(kind: str, loopback: Loopback) -> None:
    def submit(client: Any) -> list[Any]:
        return [
            client.submit(audio_url=URL),
            client.submit(audio_url=OTHER),
            client.submit(b"RIFF"),
        ]

    first: list[str] = []
    for _ in range(2):  # the second time is like a retry after a crash
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
    assert loopback.idempotency_keys() == ["order-8", "order-8-2", "order-8-3", "order-8"] * 2
    with pytest.raises(InputError):
        AiStemSplitter("k", transport=FakeService()).with_options(idempotency_key="a\n")
