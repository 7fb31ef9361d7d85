"""The command ``aistemsplitter mcp`` in a process of its own, driven by the official client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from clients import KEY
from loopback import Loopback

COMMAND = ("-m", "aistemsplitter", "mcp")


def test_standard_input_and_output(loopback: Loopback, songs: Path, tmp_path: Path) -> None:
    loopback.service._streams = True
    environment = {"AISTEMSPLITTER_API_KEY": KEY, "AISTEMSPLITTER_BASE_URL": loopback.url}
    options = ("--folder", str(songs), "--out", str(tmp_path / "out"))
    server = StdioServerParameters(
        command=sys.executable, args=[*COMMAND, *options], env=environment
    )

    async def main(log: Any) -> None:
        async with Client(stdio_client(server, errlog=log), mode="legacy") as client:
            assert client.server_info.name == "aistemsplitter"
            assert str(songs) in (client.instructions or "")
            submitted = await client.call_tool("split_file", {"song": str(songs / "my song.wav")})
            assert submitted.structured_content
            done = await client.call_tool(
                "wait_for_split", {"split_id": submitted.structured_content["split_id"]}
            )
            assert done.structured_content
            files = done.structured_content["files"]
            assert Path(files["vocals"]).read_bytes() == loopback.service._stem_audio
            failed = await client.call_tool("get_split", {"split_id": "split_none"})
            assert failed.is_error

    with (tmp_path / "log").open("w+") as log:
        anyio.run(main, log)
        log.seek(0)
        assert log.read() == ""


def test_without_the_extra_the_command_says_how_to_install_it() -> None:
    script = (
        "import sys; sys.modules['mcp'] = None; sys.argv = ['aistemsplitter', 'mcp']\n"
        "from aistemsplitter.cli import main; main()"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: the MCP server is not installed: pip install 'aistemsplitter[mcp]' (CONFIG_ERROR)\n"
    )


def test_nothing_else_imports_it() -> None:
    script = (
        "import sys, aistemsplitter.testing, aistemsplitter.cli.commands\n"
        "assert not {'mcp', 'pydantic', 'aistemsplitter.mcp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
