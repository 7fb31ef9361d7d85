"""Connections with a proxy, certificates, or an HTTP client that the user provides."""

from __future__ import annotations

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
    ConnectionFailed,
    UnexpectedResponse,
)
from aistemsplitter.testing import Reply
from clients import KEY, Runner
from loopback import Loopback


def test_a_proxy(kind: str, loopback: Loopback) -> None:
    client = Runner(kind, base_url="http://api.test", proxy=loopback.url)
    loopback.service.answer_next(Reply(200, {}, b'{"success": true, "data": {"balance": 3}}'))
    assert client.get_credits().balance == 3
    assert loopback.seen[0][1] == "http://api.test/v1/credits"


@pytest.mark.parametrize("form", ["path", "folder", "context", "unverified"])
def test_certificates(form: str, kind: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    verify: Any = tmp_path / "ca.pem"
    if form == "context":
        verify = ssl.create_default_context(cafile=verify)
    elif form == "unverified":
        verify = False
    elif form == "folder":
        verify = tmp_path / "hashed"
        verify.mkdir()
    with Loopback(context) as server:
        client = Runner(kind, base_url=server.url, verify=verify, max_retries=0)
        if form == "folder":  # OpenSSL finds certificates in a folder by their hash
            with pytest.raises(ConnectionFailed):
                client.get_credits()
        else:
            assert client.get_credits().balance


def test_own_http_client(loopback: Loopback) -> None:
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


def test_own_async_http_client(backend: str, loopback: Loopback) -> None:
    async def main() -> None:
        async with httpx2.AsyncClient() as own:
            options: dict[str, Any] = {"base_url": loopback.url, "http_client": own}
            async with AsyncAiStemSplitter(KEY, **options) as client:
                await client.get_credits()
            assert not own.is_closed
        with pytest.raises(ClientClosed):
            await AsyncAiStemSplitter(KEY, **options).get_credits()

    anyio.run(main, backend=backend)


def test_a_closed_http_client_is_named(loopback: Loopback) -> None:
    with httpx2.Client() as own:
        client = AiStemSplitter(KEY, base_url=loopback.url, http_client=own)
    with pytest.raises(ClientClosed, match="http_client= of this client is closed"):
        client.get_credits()


def test_cookies_are_not_kept(loopback: Loopback) -> None:
    loopback.service.answer_next(
        Reply(200, {"set-cookie": "a=b; Path=/"}, b'{"success": true, "data": {"balance": 1}}')
    )
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        client.get_credits()
        client.get_credits()
    assert "cookie" not in loopback.seen[-1][2]
