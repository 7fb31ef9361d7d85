"""Weights that ``split`` downloads when they are first needed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aistemsplitter_engine.cli import first_use
from aistemsplitter_engine.weights.store import TINY
from cli_songs import lines, split, write_song
from mirror import NAME, Published, described, published_tiny, stalled
from stem_files import STEMS

pytestmark = [
    pytest.mark.timeout(300),  # a hang prints its stack
    pytest.mark.usefixtures("empty_machine"),
]
# The command, with the model of the test in its catalogue.
PROGRAM = """
from aistemsplitter_engine.cli import main
from aistemsplitter_engine.weights.catalogue import *
MODELS["some_model"] = {spec!r}
main()
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    with published_tiny(tmp_path, monkeypatch) as model:
        yield model


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "song.wav", 1)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that standard error is a terminal."""
    monkeypatch.setattr(first_use, "_shows_licence", lambda: True)


@pytest.mark.parametrize("options", [[], ["--no-download"]])
def test_a_script_downloads_nothing(
    tmp_path: Path, model: Published, song: Path, options: list[str]
) -> None:
    code, said, err = split(song, "-o", tmp_path / "out", "--model", NAME, *options)
    assert (code, said) == (1, "")
    assert err == (
        f"Error: the model {NAME} is not installed (its weights were not found); "
        f"install it with: aistemsplitter-local models install {NAME}\n"
    )
    assert model.requests == []


@pytest.mark.usefixtures("terminal", "fakes")
def test_no_download(tmp_path: Path, model: Published, song: Path) -> None:
    code, _, err = split(song, "-o", tmp_path / "out", "--model", NAME, "--no-download")
    assert (code, err.count("\n")) == (1, 1)
    assert model.requests == []


@pytest.mark.usefixtures("fakes")
def test_a_script_may_request_it(tmp_path: Path, model: Published, song: Path) -> None:
    """Standard output is only about the songs."""
    arguments = [song, "-o", tmp_path / "out", "--model", NAME, "--download"]
    code, said, err = split(*arguments, "--json")
    assert code == 0
    (done,) = lines(said)
    assert list(done["stems"]) == [*STEMS]
    shown = err.splitlines()
    assert shown[0] == f"{NAME}: drums, bass, other, vocals; 3.8 MB"
    assert shown[1] == "Licence: a licence."
    assert shown[2].startswith(f"1/1 {NAME}: ")
    code, _, err = split(*arguments, "--overwrite")
    assert (code, err) == (0, "")
    assert len(model.requests) == 1


@pytest.mark.usefixtures("terminal", "fakes")
def test_invalid_options_are_reported_before_the_download(
    tmp_path: Path, model: Published, song: Path
) -> None:
    for options in (
        ["--stems", "voice"],
        ["--bit-depth", "20"],
        ["--name", "{artist}"],
        ["--overlap", "2"],
    ):
        code, _, err = split(song, "-o", tmp_path / "out", "--model", NAME, *options)
        assert (code, err.count("\n")) == (1, 1)
    assert model.requests == []


@pytest.mark.usefixtures("terminal", "fakes")
def test_a_download_that_fails(tmp_path: Path, model: Published, song: Path) -> None:
    model.path.write_bytes(model.path.read_bytes()[:-1] + b"?")
    code, said, err = split(song, "-o", tmp_path / "out", "--model", NAME)
    assert (code, said) == (1, "")
    assert "is the wrong file or damaged" in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_terminal_shows_licence_and_progress(
    tmp_path: Path, model: Published, song: Path
) -> None:
    pty = pytest.importorskip("pty", reason="no pseudo-terminals on this system")
    screen, terminal = pty.openpty()
    program = PROGRAM.format(spec=model.spec)
    arguments = ["split", str(song), "-o", str(tmp_path / "out"), "--model", NAME]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=environment,
        text=True,
    ) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while chunk := os.read(screen, 4096):
                shown += chunk
        os.close(screen)
        assert process.stdout is not None
        said = process.stdout.read()
    assert process.returncode == 0
    text = shown.decode()
    assert text.index("Licence: a licence.") < text.index("3.8 MB", text.index("Licence"))
    assert said.count("\n") == 1


def test_ctrl_c_during_the_download(
    tmp_path: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run continues the download."""
    content = TINY.read_bytes()
    spec = described(content, STEMS)
    arguments = ["split", str(song), "-o", str(tmp_path / "out"), "--model", NAME, "--download"]
    with (
        stalled(content, 1_000_000, monkeypatch) as begun,
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(spec=spec), *arguments, "--device", "cpu"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert begun.wait(60)
        part = Path(os.environ["AISTEMSPLITTER_MODELS_DIR"]) / f"{spec.files[0].name}.part"
        while not part.exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, err = process.communicate(timeout=300)
    assert (process.returncode, said) == (130, "")
    assert err.splitlines()[2:] == ["Stopped. To continue, run the same command with --resume."]
    assert part.exists()
    assert not (tmp_path / "out").exists()
