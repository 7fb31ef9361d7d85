from __future__ import annotations

import os
from pathlib import Path

import pytest

from clients import KEY
from loopback import Loopback
from sdk_command import SECRET


@pytest.fixture
def environment(loopback: Loopback) -> dict[str, str]:
    """Environment of a command that talks to the loopback server."""
    own = {
        "AISTEMSPLITTER_API_KEY": KEY,
        "AISTEMSPLITTER_BASE_URL": loopback.url,
        "AISTEMSPLITTER_WEBHOOK_SECRET": SECRET,
    }
    return {**os.environ, **own}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "my song.wav"
    path.write_bytes(b"RIFF" + bytes(5000))
    return path
