"""Streamable HTTP on a loopback port, in a process of its own, driven by the official client."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from aistemsplitter import ConfigurationError
from aistemsplitter.mcp.http import listen
from clients import KEY
from loopback import Loopback
from sdk_command import run

OWN = "ast_test_key_of_the_server"


@contextmanager
def serving(loopback: Loopback, *options: str) -> Iterator[str]:
    """Run the command and yield its URL."""
    environment = {"AISTEMSPLITTER_API_KEY": OWN, "AISTEMSPLITTER_BASE_URL": loopback.url}
    command = [sys.executable, "-m", "aistemsplitter", "mcp", "--http", "0", *options]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        line = process.stderr.readline()
        assert line.startswith("Serving http://127.0.0.1:"), line + process.stderr.read()
        try:
            yield line.split()[1]
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert rest.endswith("Interrupted; the server has stopped\n")
            assert "Traceback" not in rest
        finally:
            process.kill()


async def calls(url: str, key: str | None, mode: Any, *wanted: tuple[str, Any]) -> list[Any]:
    """Call tools one after the other, and return the results and the progress of all."""
    progress: list[str | None] = []

    async def note(_done: float, _total: float | None, message: str | None) -> None:
        progress.append(message)

    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http_client,
        Client(streamable_http_client(url, http_client=http_client), mode=mode) as client,
    ):
        results = [
            await client.call_tool(tool, arguments, progress_callback=note)
            for tool, arguments in wanted
        ]
        return [*results, progress]


def test_each_caller_has_a_key_and_no_files(loopback: Loopback, songs: Path) -> None:
    loopback.service._streams = True
    song = {"song": str(songs / "my song.wav")}
    with serving(loopback) as url:
        for mode, key in (("auto", KEY), ("legacy", "ast_test_of_another_account")):
            loopback.seen.clear()
            first, balance, refused, _ = anyio.run(
                calls,
                *(url, key, mode),
                ("split_url", {"url": "https://example.com/song.mp3"}),
                ("get_credits", {}),
                ("split_file", song),
            )
            assert balance.structured_content["unit"] == "seconds"
            assert refused.is_error
            assert {headers["authorization"] for _, _, headers in loopback.seen} == {
                f"Bearer {key}"
            }
            split_id = first.structured_content["split_id"]
            done, progress = anyio.run(
                calls, url, key, mode, ("wait_for_split", {"split_id": split_id})
            )
            assert progress == ["queued", "processing", "succeeded"]
            assert sorted(done.structured_content["urls"]) == ["bass", "drums", "other", "vocals"]
            assert done.structured_content["files"] == {}
        loopback.seen.clear()
        without, _ = anyio.run(calls, url, None, "auto", ("get_credits", {}))
        assert without.is_error
        assert "Authorization: Bearer" in without.content[0].text
        assert loopback.seen == []
        assert [_status(url, host) for host in ("evil.example", "127.0.0.1:1")] == [421, 200]
        assert _status(url, "127.0.0.1:1", origin="https://evil.example") == 403


def _status(url: str, host: str, **headers: str) -> int:
    """Return the status of a request that arrives under another host name."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    sent = {
        "Host": host,
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **headers,
    }
    connection.request("POST", parts.path, json.dumps(body), sent)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_folder_and_a_host_name_are_allowed_by_name(
    loopback: Loopback, songs: Path, tmp_path: Path
) -> None:
    loopback.service._streams = True
    options = ("--folder", str(songs), "--out", str(tmp_path / "out"), "--allow-host", "stems.lan")
    with serving(loopback, *options) as url:
        submitted, _ = anyio.run(calls, url, KEY, "auto", ("split_file", {"song": "my song.wav"}))
        split_id = submitted.structured_content["split_id"]
        done, _ = anyio.run(calls, url, KEY, "auto", ("wait_for_split", {"split_id": split_id}))
        assert Path(done.structured_content["files"]["vocals"]).is_relative_to(tmp_path / "out")
        assert [_status(url, host) for host in ("stems.lan", "stems.lan:80")] == [200, 200]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        pytest.param("here", "not HOST:PORT", id="no-port"),
        pytest.param("127.0.0.1:70000", "not HOST:PORT", id="large-port"),
        pytest.param("192.0.2.1:0", "cannot be listened on", id="other-address"),
    ],
)
def test_addresses_that_are_refused(address: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        listen(address)


def test_the_key_of_the_command_is_refused() -> None:
    done = run({}, "mcp", "--http", "0", "--key", OWN)
    assert done.returncode == 2
    assert "callers send their own keys" in done.stderr


def test_an_ipv6_address() -> None:
    with listen("[::1]:0") as listener:
        assert cast("tuple[Any, ...]", listener.getsockname())[0] == "::1"
