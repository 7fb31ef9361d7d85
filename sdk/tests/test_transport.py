"""Connections: TLS, proxies, forked processes, and consecutive event loops."""

from __future__ import annotations

import gc
import logging
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx2
import pytest
import trustme

from aistemsplitter import (
    AiStemSplitter,
    AiStemSplitterError,
    APIError,
    AsyncAiStemSplitter,
    TLSFailed,
    UnexpectedResponse,
)
from aistemsplitter._http.transport import environment_proxies
from aistemsplitter.testing import Reply
from aistemsplitter.testing._wire import split_json, success
from clients import CERTIFICATES, KEY, Runner
from loopback import Loopback

STEM = os.urandom(3_000_000)
URL = "https://example.com/song.mp3"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def encrypted(authority: trustme.CA) -> Iterator[Loopback]:
    """The service over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Loopback(context) as server:
        yield server


def test_upload_and_download_over_tls(
    kind: str,
    encrypted: Loopback,
    authority: trustme.CA,
    tmp_path: Path,
) -> None:
    authority.configure_trust(CERTIFICATES)
    encrypted.service._stem_audio = STEM
    encrypted.service._streams = True
    client = Runner(kind, base_url=encrypted.url)
    split = client.wait(client.submit(STEM).id)
    encrypted.fault("cut", "^/storage/", at=1_000_000)
    paths = client.download(split, tmp_path)
    assert all(path.read_bytes() == STEM for path in paths.values())
    assert len(paths) == 4


def test_an_unknown_certificate_authority(kind: str) -> None:
    stranger = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stranger.issue_cert("127.0.0.1").configure_cert(context)
    with Loopback(context) as server, pytest.raises(TLSFailed, match="no trusted connection"):
        Runner(kind, base_url=server.url).get_credits()


PARTED = """
import os, sys
from aistemsplitter import AiStemSplitter
key, url, *ids = sys.argv[1:]
client = AiStemSplitter(key, base_url=url)
client.get_credits()
def read(split_id):
    for _ in range(20):
        if client.get_split(split_id).id != split_id:
            os._exit(1)
children = []
for split_id in ids[1:]:
    child = os.fork()
    if not child:
        read(split_id)
        os._exit(0)
    children.append(child)
read(ids[0])
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork there")
def test_a_forked_client(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        ids = [client.submit(audio_url=URL).id for _ in range(4)]
    loopback.connections = 0
    subprocess.run([sys.executable, "-c", PARTED, KEY, loopback.url, *ids], check=True)
    assert loopback.connections == 4  # one for each process


def test_a_response_about_another_split(kind: str, loopback: Loopback) -> None:
    client = Runner(kind, base_url=loopback.url)
    first, second = (client.submit(audio_url=URL).id for _ in range(2))
    other = success(split_json(second, "processing"))
    loopback.service.answer_next(other, path=f"/v1/audio/splits/{first}", times=3)
    for ask in (client.get_split, client.wait, client.cancel_split):
        with pytest.raises(UnexpectedResponse, match=f"asked for {first} but sent {second}"):
            ask(first)


# The connections of a loop that has ended cannot be closed, and Python warns about that.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_client_on_several_event_loops(
    backend: str, encrypted: Loopback, authority: trustme.CA
) -> None:
    authority.configure_trust(CERTIFICATES)
    client = AsyncAiStemSplitter(KEY, base_url=encrypted.url)

    async def work() -> None:
        job = await client.submit(STEM)
        assert (await client.get_split(job.id)).id == job.id

    for _ in range(3):
        anyio.run(work, backend=backend)
    assert encrypted.connections >= 3
    anyio.run(client.close, backend=backend)
    gc.collect()
    with pytest.raises(AiStemSplitterError, match="client is closed"):
        anyio.run(client.get_credits, backend=backend)


def test_a_closed_client(loopback: Loopback) -> None:
    client = AiStemSplitter(KEY, base_url=loopback.url)
    client.close()
    with pytest.raises(AiStemSplitterError, match="client is closed"):
        client.get_credits()


def test_proxy_from_the_environment(
    kind: str, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", loopback.url)
    with pytest.raises(APIError):  # the fake service does not know this host name
        Runner(kind, base_url="http://service.test", max_retries=0).get_credits()
    assert [path for _, path, _ in loopback.seen] == ["http://service.test/v1/credits"]
    monkeypatch.setenv("no_proxy", "localhost, 127.0.0.1")
    loopback.seen.clear()
    Runner(kind, base_url=loopback.url).get_credits()
    assert [path for _, path, _ in loopback.seen] == ["/v1/credits"]


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert environment_proxies() == {}
    monkeypatch.setenv("https_proxy", "proxy.test:3128")
    monkeypatch.setenv("all_proxy", "socks5://proxy.test")
    hosts = (
        "localhost,10.0.0.0/8,::1,[fe80::1],.inner.test,*.star.test,a.test,https://b.test,,a:b:c:d"
    )
    monkeypatch.setenv("no_proxy", hosts)
    assert environment_proxies() == {
        "https://": "http://proxy.test:3128",
        "all://": "socks5://proxy.test",
        "all://localhost": None,
        "all://10.0.0.0/8": None,
        "all://[::1]": None,
        "all://[fe80::1]": None,
        "all://*.inner.test": None,
        "all://*.star.test": None,
        "all://*a.test": None,
        "https://b.test": None,
    }
    monkeypatch.setenv("no_proxy", "*")
    assert environment_proxies() == {}


def test_the_log_of_the_callers_own_requests_is_unchanged(
    loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    away = Reply(302, {"location": "https://example.com/mine"})
    loopback.service.answer_next(away, path="/v1/credits")
    httpx2.get(loopback.url + "/v1/credits", trust_env=False)
    assert "b'https://example.com/mine'" in caplog.text
