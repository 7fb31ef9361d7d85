"""The process that makes listening copies, tested directly."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aistemsplitter_engine.audio import StemWriter
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_server.worker import cutting, listening
from processes import SONG

FORMATS = ("wav", "flac", "mp3", "opus", "m4a", "aiff", "alac")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A worker that is not stopped, for a split that is not deleted."""
    monkeypatch.setattr(listening, "_check", lambda *_: None)
    return SimpleNamespace(stopping=threading.Event())


def task(folder: Path, stack: ExitStack, stems: list[Path], song: Path) -> cutting.Task:
    def opened(path: Path, mode: str) -> int:
        return stack.enter_context(path.open(mode)).fileno()

    names = [path.stem for path in stems]
    return cutting.Task(
        copies={name: opened(folder / f"{name}.pieces", "w+b") for name in (*names, "mixture")},
        index=opened(folder / cutting.INDEX, "w+b"),
        stems={path.stem: opened(path, "rb") for path in stems},
        song=opened(song, "rb"),
        gain=1.0,
        whole=names,
        seconds=1.0,
    )


@pytest.mark.parametrize("format_", FORMATS)
def test_stems_of_each_format(worker: Any, tmp_path: Path, format_: Any) -> None:
    """A confined process can decode all of them."""
    stems = [tmp_path / f"{name}.{format_}" for name in ("vocals", "drums")]
    for stem in stems:
        with StemWriter(stem, OutputFormat(format_), 48_000, 2) as writer:
            writer.write(np.full((2, 48_000), 0.25, np.float32))
    damaged = tmp_path / "song"
    damaged.write_bytes(SONG.read_bytes()[:60_000])
    with ExitStack() as stack:
        listening._cut(worker, "spl_1", task(tmp_path, stack, stems, damaged))
    index = json.loads((tmp_path / cutting.INDEX).read_text())
    assert [track["name"] for track in index["tracks"]] == ["vocals", "drums", "mixture"]
    assert index["frames"] == 48_000
    # The song ends early, so the sum of the stems replaces it; nothing is left of what was
    # written of it before.
    assert index["mixtureIsSong"] is False
    assert index["tracks"][2]["offsets"][-1] == (tmp_path / "mixture.pieces").stat().st_size
    listening._check_index(tmp_path, ["vocals", "drums"])


def test_an_index_with_another_splits_track(tmp_path: Path) -> None:
    """The names in it become parts of URLs that the service signs."""
    (tmp_path / cutting.INDEX).write_text('{"tracks": [{"name": "../../spl_2/1/vocals"}]}')
    with pytest.raises(ValueError, match="other tracks"):
        listening._check_index(tmp_path, ["vocals"])
