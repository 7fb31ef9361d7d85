"""Computing processes have a lower priority than the API."""

from __future__ import annotations

import os
from pathlib import Path

from aistemsplitter_server.sandbox import priority
from aistemsplitter_server.sandbox.decoder import Decoder
from aistemsplitter_server.worker.engine import Engine
from processes import SONG


def niceness(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def test_a_decoder_has_low_priority() -> None:
    with SONG.open("rb") as song, Decoder() as decoder:
        assert decoder.measure(song.fileno(), SONG.name, longest=60, seconds=60) is not None
        assert niceness(decoder._process.pid) == niceness(0) + priority.DECODING


def test_the_engine_has_low_priority(tmp_path: Path) -> None:
    engine = Engine(silence=60, work=tmp_path, decode_seconds=60)
    engine.start()
    try:
        assert engine._process is not None
        assert niceness(engine._process.pid) == niceness(0) + priority.SEPARATING
    finally:
        engine.kill()
