"""One stem on standard output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from aistemsplitter_engine import AudioFile
from aistemsplitter_engine.cli.app import app
from cli_songs import split, tree, write_song
from fakes import BrokenRuntime, use_fake
from stem_files import RATE, read

pytestmark = pytest.mark.timeout(300)  # a hang prints its stack
COMMAND = Path(sys.executable).with_name("aistemsplitter-local")
TINY = ["--model", "htdemucs_tiny", "--device", "cpu"]


def stream(song: str | Path, *options: str, given: bytes = b"") -> bytes:
    """Return standard output of a command that must succeed without a message."""
    arguments = ["split", str(song), "-o", "-", "--stems", "bass", *options]
    result = CliRunner().invoke(app, arguments, input=given)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout_bytes


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("options", [(), ("--bit-depth", "24", "--mono", "--sample-rate", "8000")])
def test_the_samples_are_those_of_the_file(tmp_path: Path, options: tuple[str, ...]) -> None:
    song = write_song(tmp_path / "song.wav", 12)
    (tmp_path / "streamed.wav").write_bytes(stream(song, *options))
    split(song, "-o", tmp_path / "out", "--stems", "bass", *options)
    ours, theirs = (
        AudioFile(path)
        for path in (tmp_path / "streamed.wav", tmp_path / "out" / "song" / "bass.wav")
    )
    assert (ours.frames, ours.codec, ours.channels) == (
        theirs.frames,
        theirs.codec,
        theirs.channels,
    )
    assert np.array_equal(read(ours.path), read(theirs.path))


@pytest.mark.usefixtures("fakes")
def test_from_standard_input(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav")
    assert stream("-", given=song.read_bytes()) == stream(song)


@pytest.mark.usefixtures("fakes")
def test_peaks_are_clipped_but_not_in_floating_point(tmp_path: Path) -> None:
    song = write_song(tmp_path / "song.wav", gain=9)
    peaks = []
    for options in ((), ("--clip", "none"), ("--bit-depth", "float")):
        (tmp_path / "streamed.wav").write_bytes(stream(song, *options))
        peaks.append(float(np.abs(read(tmp_path / "streamed.wav")).max()))
    assert peaks[0] == peaks[1] == 1
    assert peaks[2] > 1.01


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--output - writes one stem of one song; choose the stem with --stems"),
        (["--stems", "bass,drums"], "--output - writes one stem of one song; choose"),
        (["b.wav", "--stems", "bass"], "--output - writes one stem of one song; choose"),
        (["--stems", "bass", "--format", "flac"], "--output - writes wav, not flac"),
        (["--stems", "bass", "--json"], "--json needs a folder; it does not go with --output -"),
        (["--stems", "bass", "--resume"], "--resume needs a folder; it does not go with"),
        (["--stems", "bass", "--overwrite"], "--overwrite needs a folder; it does not go with"),
        (["--stems", "bass", "--name", "{stem}"], "--name needs a folder; it does not go with"),
        (["--stems", "bass", "--clip", "rescale"], "--clip rescale needs the peak of the whole s"),
    ],
)
def test_options_that_do_not_go_with_it(tmp_path: Path, options: list[str], message: str) -> None:
    code, said, err = split(tmp_path / "a.wav", "-o", "-", *options)
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith(f"Error: {message}")
    assert "--json" in options or said == ""


@pytest.mark.usefixtures("fakes")
def test_a_song_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_text("not audio")
    code, said, err = split(tmp_path / "song.wav", "-o", "-", "--stems", "bass")
    assert (code, said, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"Error: {tmp_path / 'song.wav'}: is not audio that can be read")
    assert tree(tmp_path) == {"song.wav"}


@pytest.mark.usefixtures("bag")
def test_a_network_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake(monkeypatch, BrokenRuntime)
    song = write_song(tmp_path / "song.wav", 30)
    result = CliRunner().invoke(app, ["split", str(song), "-o", "-", "--stems", "bass"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"Error: {song}: failed unexpectedly: RuntimeError: no memory")


@pytest.mark.parametrize("closed", [True, False])
def test_a_pipe(tmp_path: Path, closed: bool) -> None:
    """Either read to its end, or closed early, as by ``head``."""
    song = write_song(tmp_path / "song.wav", 30 if closed else 1)
    arguments = [COMMAND, "split", song, "-o", "-", "--stems", "bass", *TINY]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if closed:
            process.stdout.read(4)
            process.stdout.close()
            errors = process.stderr.read().decode().splitlines()[1:]  # after the model's note
            assert errors == ["Error: standard output: cannot be written: Broken pipe"]
            assert process.wait(300) == 1
            return
        audio = process.stdout.read()
        assert process.wait(300) == 0, process.stderr.read()
    (tmp_path / "streamed.wav").write_bytes(audio)
    assert read(tmp_path / "streamed.wav").shape == (2, RATE)


def test_a_terminal_is_refused(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="no pseudo-terminals on this system")
    screen, terminal = pty.openpty()
    arguments = [COMMAND, "split", tmp_path / "a.wav", "-o", "-", "--stems", "bass", *TINY]
    done = subprocess.run(
        arguments, stdout=terminal, stderr=subprocess.PIPE, timeout=300, text=True
    )
    os.close(terminal)
    os.close(screen)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "Error: standard output is a terminal; redirect it, or choose a folder"
    ]
