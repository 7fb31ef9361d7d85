"""``aistemsplitter mcp``, driven by the official client, against the real service with a worker."""

from __future__ import annotations

import sys
import wave
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from real_service import RealService


def test_an_assistant_splits_a_song(service: RealService, song: Path, tmp_path: Path) -> None:
    options = ("--folder", str(song.parent), "--out", str(tmp_path / "stems"))
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "aistemsplitter", "mcp", *options],
        env=service.environment,
    )
    fractions: list[float] = []

    async def note(done: float, _total: float | None, _message: str | None) -> None:
        fractions.append(done)

    async def main() -> Any:
        async with Client(server) as client:
            submitted = await client.call_tool(
                "split_file", {"song": song.name, "stems": ["vocals", "drums"]}
            )
            assert submitted.structured_content, submitted.content
            split_id = {"split_id": submitted.structured_content["split_id"]}
            arguments = {**split_id, "timeout_seconds": 300}
            done = await client.call_tool("wait_for_split", arguments, progress_callback=note)
            deleted = await client.call_tool("delete_split", split_id)
            assert not deleted.is_error
            gone = await client.call_tool("get_split", split_id)
            assert gone.is_error
            return done.structured_content

    done = anyio.run(main)
    assert sorted(done["files"]) == ["drums", "vocals"]
    for path in done["files"].values():
        with wave.open(path) as stem:
            assert stem.getnframes()
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
