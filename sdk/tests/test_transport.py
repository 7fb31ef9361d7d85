"""Connections as they are: plain ones read past the event loop's transport, and encrypted ones."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from aistemsplitter import TLSFailed
from clients import CERTIFICATES, Runner
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


def test_a_song_goes_there_and_back_by_tls(
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


def test_an_authority_that_nobody_knows(kind: str) -> None:
    stranger = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stranger.issue_cert("127.0.0.1").configure_cert(context)
    with Loopback(context) as server, pytest.raises(TLSFailed, match="no trusted connection"):
        Runner(kind, base_url=server.url).get_credits()
