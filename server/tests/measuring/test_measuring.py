from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.measuring import MeasuringFailed, measure, warm
from aistemsplitter_server.sandbox.decoder import Decoder
from processes import SONG


@pytest.fixture(autouse=True)
def _no_process_from_before() -> None:
    """Discard the idle decoder process of earlier tests."""
    Decoder.dismiss()


@pytest.fixture
def limits(tmp_path: Path) -> Settings:
    """Settings that need no database."""
    return Settings(data=tmp_path)


def test_a_measured_file(limits: Settings) -> None:
    warm()
    found = measure(SONG, "song.flac", limits)
    assert (found.duration_seconds, found.sample_rate, found.channels) == (20.0, 44100, 2)


def test_too_long(tmp_path: Path) -> None:
    with pytest.raises(MeasuringFailed) as caught:
        measure(SONG, "song.flac", Settings(data=tmp_path, max_duration_seconds=10))
    assert caught.value.code == "INPUT_TOO_LONG"


def test_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Settings(data=tmp_path, measure_seconds=1)
    monkeypatch.setattr(sys, "path", [str(_decoder(tmp_path, "while True: pass")), *sys.path])
    with pytest.raises(MeasuringFailed, match="cannot be decoded, or takes too long") as caught:
        measure(SONG, "song.flac", limits)  # otherwise it would not have returned
    assert caught.value.code == "UNSUPPORTED_MEDIA"


@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"#EXTM3U\nfile:///etc/passwd\n"])
def test_no_audio(tmp_path: Path, limits: Settings, content: bytes) -> None:
    path = tmp_path / "stored"
    path.write_bytes(content)
    with pytest.raises(MeasuringFailed) as caught:
        measure(path, "my song.wav", limits)
    assert caught.value.code == "UNSUPPORTED_MEDIA"
    assert str(caught.value).startswith("my song.wav: ")
    assert str(tmp_path) not in str(caught.value)


def test_a_crash_does_not_affect_other_files(
    tmp_path: Path, limits: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing = _decoder(tmp_path, "import ctypes; ctypes.string_at(0)")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [str(crashing), *sys.path])
        with pytest.raises(MeasuringFailed) as caught:
            measure(SONG, "song.flac", limits)
    assert caught.value.code == "UNSUPPORTED_MEDIA"
    assert measure(SONG, "song.flac", limits).duration_seconds == 20.0


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")
def test_a_process_without_memory_for_decoders(tmp_path: Path) -> None:
    """Under limits such as LimitAS= a good file is not blamed."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from aistemsplitter_server.kit.settings import Settings\n"
        "from aistemsplitter_server.measuring import measure\n"
        "try: measure(Path(sys.argv[1]), 'song', Settings(data=Path(sys.argv[2])))\n"
        "except OSError as error: print(error)\n"
    )
    command = ["prlimit", f"--as={160 << 20}", sys.executable, "-c", program, SONG, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "the decoder cannot start: " in done.stdout


def _decoder(folder: Path, body: str) -> Path:
    """Replace the decoder; child processes import this one before the engine's."""
    fake = folder / "fake" / "aistemsplitter_engine"
    (fake / "audio").mkdir(parents=True)
    (fake / "__init__.py").write_text("class AudioError(Exception): pass\n")
    (fake / "audio" / "__init__.py").write_text(
        f"class AudioFile:\n    def __init__(self, *_):\n        {body}\n"
    )
    return folder / "fake"
