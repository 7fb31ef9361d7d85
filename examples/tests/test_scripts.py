"""The example scripts, run as a user runs them, against the real service."""

from __future__ import annotations

import shutil
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from aistemsplitter import AiStemSplitter
from real_service import RealService

EXAMPLES = Path(__file__).parents[1]
STEMS = {"drums", "bass", "other", "vocals"}


def run(service: RealService, name: str, *arguments: object) -> list[str]:
    """Run an example and return the lines that it prints."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(
        command, env=service.environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check_stem(path: Path, song: Path) -> None:
    """Check that a stem is audio of the song's length."""
    with wave.open(str(song)) as whole:
        seconds = whole.getnframes() / whole.getframerate()
    assert path.read_bytes()[:4] == b"RIFF"
    assert path.stat().st_size >= seconds * 44100 * 2 * 2


@pytest.mark.parametrize("name", ["hello_world.py", "hello_world_async.py"])
def test_hello_world(service: RealService, song: Path, tmp_path: Path, name: str) -> None:
    lines = run(service, name, song, tmp_path / "stems")
    assert {line.partition(":")[0] for line in lines} == STEMS
    for stem in STEMS:
        check_stem(tmp_path / "stems" / f"{stem}.wav", song)


def test_raw_http(service: RealService, song: Path, tmp_path: Path) -> None:
    lines = run(service, "raw_http.py", song, tmp_path / "stems")
    assert lines[0].startswith("200 req_")
    assert " is " in lines[1]
    for stem in ("vocals", "instrumental"):
        check_stem(tmp_path / "stems" / f"{stem}.wav", song)


def test_batch_resumes_after_an_interruption(
    service: RealService, song: Path, tmp_path: Path
) -> None:
    songs, stems = tmp_path / "songs", tmp_path / "stems"
    songs.mkdir()
    for name in ("one.wav", "two.wav"):
        shutil.copy(song, songs / name)
    (songs / "notes.txt").write_text("no song")
    with AiStemSplitter(service.api_key, base_url=service.url) as client:
        before = len(list(client.list_splits()))
        for _ in range(2):
            lines = run(service, "batch_folder.py", songs, stems)
            assert sorted(lines) == ["one.wav: done", "two.wav: done"]
            (stems / "one.wav" / "bass.wav").unlink()
        assert len(list(client.list_splits())) == before + 2
    check_stem(stems / "two.wav" / "vocals.wav", song)


def test_batch_names_the_failed_songs(service: RealService, song: Path, tmp_path: Path) -> None:
    shutil.copy(song, tmp_path / "good.wav")
    (tmp_path / "bad.mp3").write_bytes(b"no audio" * 100)
    command = [
        sys.executable,
        str(EXAMPLES / "batch_folder.py"),
        str(tmp_path),
        str(tmp_path / "s"),
    ]
    done = subprocess.run(
        command, env=service.environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert done.stdout == "good.wav: done\n"
    assert done.stderr.startswith("bad.mp3: ")
