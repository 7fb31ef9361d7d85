"""A song from standard input."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aistemsplitter_engine.cli import standard_input as module
from aistemsplitter_engine.cli.standard_input import standard_input
from aistemsplitter_engine.errors import AudioError, Cancelled
from cli_songs import lines, split, tree, write_song
from stem_files import read

pytestmark = pytest.mark.timeout(300)  # a hang prints its stack


@pytest.mark.usefixtures("fakes")
def test_the_stems_are_those_of_the_file(tmp_path: Path) -> None:
    song, out = write_song(tmp_path / "song.wav"), tmp_path / "out"
    split(song, "-o", out, "--stems", "bass")
    code, said, err = split("-", "-o", out, "--stems", "bass", given=song.read_bytes())
    assert (code, err) == (0, "")
    assert said.startswith(f"-: bass in {out / 'stdin'} (")
    stems = [read(out / name / "bass.wav") for name in ("song", "stdin")]
    assert np.array_equal(*stems)


@pytest.mark.usefixtures("fakes")
def test_it_is_never_skipped(tmp_path: Path) -> None:
    """The next one may be another song."""
    first, second = (write_song(tmp_path / f"{n}.wav", n) for n in (1, 2))
    out = tmp_path / "out"
    for song, frames in ((first, 44_100), (second, 88_200)):
        _, said, _ = split("-", "-o", out, "--stems", "bass", "--json", given=song.read_bytes())
        assert [(line["song"], line["frames"]) for line in lines(said)] == [("-", frames)]
    assert tree(out) == {"stdin", "stdin/bass.wav"}


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("given", "reason"),
    [(b"", "is empty (0 bytes)"), (b"words, not music\n" * 999, "is not audio that can be read")],
)
def test_input_that_is_not_audio(tmp_path: Path, given: bytes, reason: str) -> None:
    code, said, err = split("-", "-o", tmp_path / "out", given=given)
    assert (code, said) == (1, "")
    assert err.startswith(f"Error: standard input: {reason}")
    assert tree(tmp_path) == set()


def give(monkeypatch: pytest.MonkeyPatch, stream: object, terminal: bool = False) -> None:
    stdin = SimpleNamespace(buffer=stream, isatty=lambda: terminal)
    monkeypatch.setattr(sys, "stdin", stdin)


def store_in(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """Write to a device instead of a temporary file."""
    monkeypatch.setattr(module.tempfile, "TemporaryFile", partial(Path(device).open, "wb"))


def test_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, io.BytesIO(), terminal=True)
    with (
        pytest.raises(AudioError, match=r"^standard input: is a terminal; pipe a song into it$"),
        standard_input(threading.Event()),
    ):
        pass


def test_a_song_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1 << 30)
    piece = bytes(1 << 20)

    class Endless(io.BytesIO):
        def read1(self, _: int | None = -1) -> bytes:
            return piece

    store_in(monkeypatch, os.devnull)
    give(monkeypatch, Endless())
    with (
        pytest.raises(
            AudioError, match=r"^standard input: is larger than 1 GiB; save it as a file"
        ),
        standard_input(threading.Event()),
    ):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    store_in(monkeypatch, "/dev/full")
    give(monkeypatch, io.BytesIO(bytes(1 << 21)))
    with (
        pytest.raises(AudioError, match=r"^standard input: cannot be copied to .*: No space left"),
        standard_input(threading.Event()),
    ):
        pass


def test_a_stop_while_the_input_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, over = threading.Event(), threading.Event()

    class Stalled(io.BytesIO):
        def read1(self, _: int | None = -1) -> bytes:
            stop.set()
            over.wait()
            return b""

    give(monkeypatch, Stalled())
    try:
        with (
            pytest.raises(Cancelled, match=r"^standard input: stopped on request$"),
            standard_input(stop),
        ):
            pass
    finally:
        over.set()


def test_a_pipe_between_two_commands(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", 1)
    command = Path(sys.executable).with_name("aistemsplitter-local")
    options = ["--model", "htdemucs_tiny", "--device", "cpu", "--stems", "bass"]
    with song.open("rb") as stream:
        done = subprocess.run(
            [command, "split", "-", "-o", tmp_path / "out", *options],
            stdin=stream,
            capture_output=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "out" / "stdin" / "bass.wav").shape == (2, 44_100)
