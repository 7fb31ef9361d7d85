"""``aistemsplitter-local split`` as a process: killed, stopped, and in a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter_engine import Separator
from aistemsplitter_engine.cli.records import RECORD
from cli_songs import NOTE, TINY, lines, write_song
from stem_files import RATE, STEMS

pytestmark = pytest.mark.timeout(300)  # a hang prints its stack

COMMAND = Path(sys.executable).with_name("aistemsplitter-local")


# The command, with stems on disk from the first moment on, as those of a run of some seconds.
ON_DISK = """
import sys
from aistemsplitter_engine.cli import main
from aistemsplitter_engine.pipeline import spool
spool._IN_MEMORY = 0
sys.argv.pop(0)
main()
"""


def start(
    *arguments: str | Path, through: Sequence[str] = (), **options: Any
) -> subprocess.Popen[str]:
    command = [*through, str(COMMAND), "split", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, text=True, **pipes)


def run(*arguments: str | Path, **options: Any) -> tuple[int, str, str]:
    with start(*arguments, **options) as process:
        said, err = process.communicate(timeout=300)
    for text in (said or "", err or ""):
        assert "\x1b" not in text
        assert "Traceback" not in text
    return process.returncode, said, err


def one_line(err: str) -> str:
    note, line = err.splitlines()
    assert note.startswith(NOTE)
    return line


def kill(process: subprocess.Popen[str], number: int, work: Path) -> tuple[str, str]:
    """Send a signal once 5 s of the song are saved; return the output."""
    deadline = time.monotonic() + 120
    safe = 0
    while safe < 5 * RATE:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
        with contextlib.suppress(OSError):
            safe = json.loads((work / "journal.json").read_text())["frames"]
    process.send_signal(number)
    return process.communicate(timeout=300)


@pytest.fixture(scope="module")
def tiny() -> Separator:
    return Separator("htdemucs_tiny", device="cpu")


def test_a_killed_run_is_resumed_to_the_bit(tmp_path: Path, tiny: Separator) -> None:
    song, out = write_song(tmp_path / "song.wav", 25, gain=9), tmp_path / "out"
    folder = out / "song"
    arguments = [song, "-o", out, *TINY, "--resume"]
    with start(*arguments, through=[sys.executable, "-c", ON_DISK]) as process:
        kill(process, signal.SIGKILL, folder / ".aistemsplitter")
    assert process.returncode == -signal.SIGKILL
    assert {p.name for p in folder.iterdir()} == {".aistemsplitter", ".aistemsplitter.lock"}
    copies = [shutil.copytree(folder, tmp_path / format) for format in ("flac", "mp3")]
    code, said, err = run(*arguments, "--json")
    assert (code, err.count("\n")) == (0, 1)
    gain = lines(said)[0]["gain"]
    assert gain < 1
    for path, resumed in ((folder, None), *((path, []) for path in copies)):
        format = "wav" if resumed is None else path.name
        if resumed is not None:
            tiny.split(song, path, format=format, resume=True, on_progress=resumed.append)
            assert 0 < next(filter(None, resumed)) < 1
        others = {RECORD} if resumed is None else set()  # only the command records stems
        assert {p.name for p in path.iterdir()} == {f"{stem}.{format}" for stem in STEMS} | others
        whole = tiny.split(song, tmp_path / "whole", format=format)
        assert whole.gain == gain
        for stem, expected in whole.stems.items():
            assert (path / f"{stem}.{format}").read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(tmp_path: Path, number: int) -> None:
    """Ctrl-C, or a stop by a service manager."""
    song, folder = write_song(tmp_path / "song.wav", 25), tmp_path / "out" / "song"
    through = [sys.executable, "-c", ON_DISK]
    with start(song, "-o", tmp_path / "out", *TINY, through=through) as process:
        said, err = kill(process, number, folder / ".aistemsplitter")
    assert process.returncode == 130
    assert said == ""
    assert one_line(err) == "Stopped. To continue, run the same command with --resume."
    assert {path.name for path in folder.iterdir()} == {".aistemsplitter"}


# Programs that drop a right and exec another program. Not Popen's preexec_fn: between fork and
# exec, locks may be held by threads that do not exist in the child.
LIMIT_FILES = """
import os, resource, sys
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
os.execv(sys.argv[2], sys.argv[2:])
"""
DROP_PRIVILEGES = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root is refused as others are
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_ctrl_c_while_the_command_is_imported(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code, said, err = run("song.wav", "-o", tmp_path, env=environment)
    assert (code, said, err) == (130, "", "")


def test_a_file_that_cannot_grow(tmp_path: Path) -> None:
    """As on a disk that fills up during the run, which cannot be known beforehand."""
    song = write_song(tmp_path / "song.wav", 12)
    through = [sys.executable, "-c", LIMIT_FILES, "3000000", sys.executable, "-c", ON_DISK]
    code, said, err = run(song, "-o", tmp_path / "out", *TINY, "--stems", "vocals", through=through)
    assert (code, said) == (1, "")
    folder = tmp_path / "out" / "song"
    kept = folder / ".aistemsplitter"
    assert one_line(err) == (
        f"Error: {folder}: File too large; its work is kept in {kept}; continue with --resume"
    )
    assert kept.is_dir()


def test_no_permission(tmp_path: Path) -> None:
    closed = write_song(tmp_path / "m" / "closed" / "a.wav", 0.1).parent
    song, out = write_song(tmp_path / "m" / "song.wav", 0.1), tmp_path / "out"
    out.mkdir()
    modes = {closed: 0o000, song: 0o000, out: 0o500}
    for path, mode in modes.items():
        path.chmod(mode)
    try:
        through = [sys.executable, "-c", DROP_PRIVILEGES]
        check = [*through, shutil.which("cat") or "cat", str(song)]
        if subprocess.run(check, capture_output=True, timeout=300).returncode == 0:
            # Root without CAP_SETPCAP, as in some containers: no file would be refused.
            pytest.skip("this user can read everything and cannot drop that right")
        refused = [
            f"Error: {closed}: Permission denied",
            f"Error: {song}: cannot be opened: Permission denied",
        ]
        for named in ([tmp_path / "m"], [song, closed]):  # found in a folder, or named directly
            code, _, err = run(*named, "-o", out, *TINY, through=through)
            errors = [line for line in err.splitlines() if line.startswith("Error: ")]
            assert (code, errors) == (1, refused)
        song.chmod(0o600)
        code, _, err = run(song, "-o", out, *TINY, through=through)
        assert (code, one_line(err)) == (1, f"Error: {out / 'song'}: Permission denied")
    finally:
        for path in modes:
            path.chmod(0o700)


def test_a_terminal_shows_progress(tmp_path: Path) -> None:
    """The progress is not written to a redirected output."""
    song = write_song(tmp_path / f"{'long name ' * 6}.wav", 8)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with start(song, "-o", tmp_path / "out", *TINY, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while select.select([ours], [], [], 60)[0] and (data := os.read(ours, 4096)):
                shown += data
        assert process.stdout is not None
        said = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "\x1b[" in text
    assert "long name long name" in text
    assert "%" in text
    assert "\x1b[?25h" in text  # the cursor is shown again
    assert "\x1b" not in said
    assert said.count("\n") == 1


def stdout_closed() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize(
    ("open_output", "message"),
    [
        (stdout_closed, None),  # as by `| head`
        (lambda: os.open("/dev/full", os.O_WRONLY), "Error: No space left on device"),
    ],
)
def test_a_standard_output_that_cannot_be_written(
    tmp_path: Path, open_output: Callable[[], int], message: str | None
) -> None:
    song = write_song(tmp_path / "song.wav", 0.1)
    assert run(song, "-o", tmp_path, *TINY)[0] == 0  # so that the next run only reports
    output = open_output()
    code, _, err = run(song, "-o", tmp_path, *TINY, stdout=output)
    os.close(output)
    assert code != 0
    assert message is None or message in err


def test_a_terminal_that_cannot_encode_a_name(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Füße.wav", 0.1)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    code, said, _ = run(song, "-o", tmp_path / "out", *TINY, env=environment)
    assert code == 0
    assert said.startswith(f"{tmp_path}/F??e.wav: drums")
    assert (tmp_path / "out" / "Füße" / "drums.wav").exists()


HEAVY = ("numpy", "openvino", "av", "torch", "soxr", "rich", "httpx2", "filelock")
LOOK = f"""
import atexit, sys
atexit.register(lambda: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr))
from aistemsplitter_engine.cli.app import app
app()
"""


@pytest.mark.parametrize("arguments", [["--help"], ["split", "--help"], ["models", "--help"]])
def test_help_imports_nothing_heavy(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-c", LOOK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout.startswith("Usage: ")


def test_networks_do_not_wait_for_ffmpeg() -> None:
    """It is imported while the networks load."""
    code = "import sys; from aistemsplitter_engine import Separator; print('av' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "False\n"
