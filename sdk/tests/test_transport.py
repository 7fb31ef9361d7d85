"""Connections as they are: plain ones read past the event loop's transport, and encrypted ones."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
import trustme

from aistemsplitter import AsyncAiStemSplitter, TLSFailed
from aistemsplitter._http import direct
from aistemsplitter._http.sockets import Line
from clients import CERTIFICATES, KEY, Runner
from loopback import Loopback

STEM = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def encrypted(authority: trustme.CA) -> Iterator[Loopback]:
    """The service behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Loopback(context) as server:
        yield server


@pytest.mark.parametrize("worth", [direct.WORTH, 1])
def test_a_song_goes_there_and_back_by_tls(
    kind: str,
    worth: int,
    encrypted: Loopback,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority.configure_trust(CERTIFICATES)
    monkeypatch.setattr(direct, "WORTH", worth)
    encrypted.service._stem_audio = STEM
    encrypted.service._streams = True
    client = Runner(kind, base_url=encrypted.url)
    split = client.wait(client.submit(STEM).id)
    encrypted.fault("cut", "^/storage/", at=1_000_000)
    paths = client.download(split, tmp_path)
    assert all(path.read_bytes() == STEM for path in paths.values())
    assert len(paths) == 4


def test_an_authority_that_nobody_knows(kind: str) -> None:
    stranger = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stranger.issue_cert("127.0.0.1").configure_cert(context)
    with Loopback(context) as server, pytest.raises(TLSFailed, match="no trusted connection"):
        Runner(kind, base_url=server.url).get_credits()


def test_event_loops_read_plain_connections_directly(backend: str, loopback: Loopback) -> None:
    """What the HTTP library gives no public way to: this shows when its inside has changed."""

    async def main() -> type:
        async with AsyncAiStemSplitter(KEY, base_url=loopback.url) as client:
            response = await client._driver._client.get(loopback.url)
            return type(response.extensions["network_stream"])

    assert anyio.run(main, backend=backend) is Line
