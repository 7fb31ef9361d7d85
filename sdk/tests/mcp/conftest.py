from __future__ import annotations

from pathlib import Path

import pytest

from aistemsplitter.testing import FakeService
from mcp_clients import Caller


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """A folder with a song, beside one that may not be read."""
    folder = tmp_path / "songs"
    folder.mkdir()
    (folder / "my song.wav").write_bytes(b"RIFF" + bytes(5000))
    (tmp_path / "private.wav").write_bytes(b"RIFF" + bytes(5000))
    return folder


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def caller(service: FakeService, songs: Path, tmp_path: Path) -> Caller:
    """A server that may read songs and write stems."""
    return Caller(service, [songs], tmp_path / "out")


@pytest.fixture
def remote(service: FakeService) -> Caller:
    """A server that may read and write no files."""
    return Caller(service, [], None)
