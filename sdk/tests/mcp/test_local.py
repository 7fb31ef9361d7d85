"""``aistemsplitter mcp --local``: the engine in place of a service."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.server.mcpserver.exceptions import ToolError

from aistemsplitter.mcp.folders import Folders
from aistemsplitter.mcp.local import LocalTools
from sdk_command import run

SAMPLE = Path(__file__).parents[3] / "songs" / "sample"
COMMAND = ("-m", "aistemsplitter", "mcp", "--local")


@pytest.mark.network
@pytest.mark.skipif(
    find_spec("aistemsplitter_engine") is None, reason="the engine is not installed"
)
def test_a_song_is_split_on_this_machine(tmp_path: Path) -> None:
    options = ("--folder", str(SAMPLE), "--out", str(tmp_path / "out"))
    cache = {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}
    server = StdioServerParameters(command=sys.executable, args=[*COMMAND, *options], env=cache)
    progress: list[float] = []

    async def note(done: float, _total: float | None, _message: str | None) -> None:
        progress.append(done)

    async def main() -> None:
        async with Client(server) as client:

            async def call(tool: str, **arguments: Any) -> dict[str, Any]:
                result = await client.call_tool(tool, arguments, progress_callback=note)
                assert not result.is_error, result.content
                return dict(result.structured_content or {})

            async def error(tool: str, **arguments: Any) -> str:
                result = await client.call_tool(tool, arguments)
                assert result.is_error
                return str(getattr(result.content[0], "text", ""))

            song = {"song": "mixture.flac", "model": "htdemucs_tiny"}
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert not tools & {"split_url", "get_credits", "delete_split"}
            models = {each["name"]: each for each in (await call("list_models"))["models"]}
            assert models["htdemucs_tiny"]["installed"]

            submitted = await call("split_file", **song, stems=["vocals"], output_format="flac")
            # Waits for the first one, so that it can be canceled in time.
            queued = (await call("split_file", **song))["split_id"]
            assert (await call("cancel_split", split_id=queued))["error"] == "canceled"
            assert "canceled" in await error("wait_for_split", split_id=queued)
            assert "already failed" in await error("cancel_split", split_id=queued)

            done = await call("wait_for_split", split_id=submitted["split_id"], timeout_seconds=300)
            assert [*done["files"]] == ["vocals"]
            folder = Path(done["files"]["vocals"]).parent
            assert (folder.name, folder.parents[1]) == ("mixture", tmp_path / "out")
            assert Path(done["files"]["vocals"]).read_bytes()[:4] == b"fLaC"
            listed = (await call("list_splits"))["splits"]
            assert [each["status"] for each in listed] == ["failed", "succeeded"]

            kazoo = (await call("split_file", **song, stems=["kazoo"]))["split_id"]
            assert "no stem 'kazoo'" in await error("wait_for_split", split_id=kazoo)
            # A model is a name, although the engine's command also takes the path of a file.
            path = str(SAMPLE / "mixture.flac")
            assert "no such model" in await error("split_file", song=path, model=path)
            assert "outside" in await error("split_file", song="../heldout1/mixture.flac")
            missing = next(name for name, each in models.items() if not each["installed"])
            text = await error("split_file", song=path, model=missing)
            assert f"models install {missing}" in text

    anyio.run(main)
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("folder.wav", "not a regular file", id="folder"),
        pytest.param("missing.wav", "no such file", id="missing"),
        pytest.param("../private.wav", "outside the folders", id="outside"),
    ],
)
def test_only_files_in_the_folders_are_split(
    songs: Path, tmp_path: Path, name: str, problem: str
) -> None:
    (songs / "folder.wav").mkdir()
    folders = Folders([songs], tmp_path / "out")

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tools = LocalTools(folders, tasks)
            with pytest.raises(ToolError, match=problem):
                await tools.split_file(name)
            assert (await tools.list_splits()).splits == []

    anyio.run(main)


def test_without_the_engine_the_command_says_how_to_install_it() -> None:
    script = (
        "import sys; sys.modules['aistemsplitter_engine'] = None\n"
        "sys.argv = ['aistemsplitter', 'mcp', '--local']\n"
        "from aistemsplitter.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2
    assert "pip install aistemsplitter-engine" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_of_a_service_are_refused() -> None:
    done = run({}, "mcp", "--local", "--http", "0")
    assert done.returncode == 2
    assert "--local does not go with --http" in done.stderr
