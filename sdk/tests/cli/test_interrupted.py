"""Ctrl-C at every stage of a command: exit code 130, and a line per song with the way out."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aistemsplitter.testing import Reply
from loopback import Loopback
from sdk_command import COMMAND, run

UPLOAD, SUBMIT, WAIT, DOWNLOAD = "^/storage/upl_", "/splits$", "/splits/split_", "^/storage/split_"


@dataclass
class Gate:
    """Holds a response back: pass it as the ``change`` of a fault."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def __call__(self, reply: Reply) -> Reply:
        self.reached.set()
        self.opened.wait(300)
        return reply


Interrupt = Callable[..., tuple[int, str]]


@pytest.fixture
def interrupt(environment: dict[str, str], loopback: Loopback) -> Interrupt:
    def interrupt(
        path: str, *arguments: str | Path, opens: bool = False, repeats: bool = False
    ) -> tuple[int, str]:
        """Press Ctrl-C while the response to a request is held back.

        Args:
            path: Pattern of the request's path.
            arguments: Arguments of the command.
            opens: Send the response after Ctrl-C.
            repeats: Press Ctrl-C again and again until the command ends.

        Returns:
            The command's exit code and its messages.
        """
        gate = Gate()
        loopback.fault("change", path, change=gate)
        command = [*COMMAND, *map(str, arguments)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
            try:
                assert gate.reached.wait(300)
                run.send_signal(signal.SIGINT)
                if opens:
                    gate.opened.set()
                while True:
                    try:
                        _, messages = run.communicate(timeout=0.2 if repeats else 300)
                        break
                    except subprocess.TimeoutExpired:
                        assert repeats
                        run.send_signal(signal.SIGINT)
            finally:
                gate.opened.set()
                run.kill()
        return run.returncode, messages

    return interrupt


def submissions(loopback: Loopback) -> int:
    return len(loopback.idempotency_keys())


def test_while_a_song_is_uploaded(
    interrupt: Interrupt, loopback: Loopback, song: Path, tmp_path: Path
) -> None:
    code, messages = interrupt(UPLOAD, "split", song, "-o", tmp_path / "out")
    assert code == 130
    assert messages == (
        f"Interrupted before {song} was submitted, so nothing was charged."
        " Run the command again to split it\n"
    )
    assert submissions(loopback) == 0
    assert not (tmp_path / "out").exists()


def test_while_a_song_is_submitted(
    environment: dict[str, str],
    interrupt: Interrupt,
    loopback: Loopback,
    song: Path,
    tmp_path: Path,
) -> None:
    """The command waits for the response, because the split has been charged."""
    code, messages = interrupt(SUBMIT, "split", song, "-o", tmp_path / "out", opens=True)
    assert code == 130
    found = re.fullmatch(
        rf"Interrupted; {re.escape(str(song))} continues on the service as (split_\w+)\."
        r" Download its stems with: aistemsplitter (download .+)\n",
        messages,
    )
    assert found, messages
    assert run(environment, *found[2].split()).returncode == 0
    assert (tmp_path / "out" / "my song" / "vocals.wav").exists()
    assert submissions(loopback) == 1


def test_while_a_submission_is_not_answered(
    interrupt: Interrupt, song: Path, tmp_path: Path
) -> None:
    code, messages = interrupt(SUBMIT, "split", song, "-o", tmp_path / "out", repeats=True)
    assert code == 130
    assert re.fullmatch(
        rf"Interrupted while {re.escape(str(song))} was being submitted\. See whether"
        r" 'aistemsplitter list' shows it .*\n",
        messages,
    )


@pytest.mark.parametrize("stage", [WAIT, DOWNLOAD])
def test_while_a_song_is_split_and_downloaded(
    interrupt: Interrupt, loopback: Loopback, song: Path, tmp_path: Path, stage: str
) -> None:
    """Songs that were not begun are named, too."""
    others = [tmp_path / f"{number}.wav" for number in range(3)]
    arguments = ["split", song, *others, "-o", tmp_path / "out", "--concurrency", "1"]
    code, messages = interrupt(stage, *arguments)
    assert code == 130
    assert re.fullmatch(
        rf"Interrupted before {'{}, {} and {}'.format(*map(re.escape, map(str, others)))} were"
        r" submitted, so nothing was charged\. Run the command again to split them\n"
        r"Interrupted; \S.* continues on the service as split_\w+\. Download its stems with: .+\n",
        messages,
    )
    assert submissions(loopback) == 1


@pytest.mark.parametrize("stage", [WAIT, DOWNLOAD])
def test_download(
    environment: dict[str, str],
    interrupt: Interrupt,
    song: Path,
    tmp_path: Path,
    stage: str,
) -> None:
    split_id = run(environment, "split", song, "--no-wait").stdout.split()[0]
    arguments = ["download", split_id, "-o", tmp_path / "out"]
    assert interrupt(stage, *arguments) == (
        130,
        "Interrupted; run the same command again to continue\n",
    )
    assert run(environment, *arguments).returncode == 0
    assert len(list((tmp_path / "out" / "my song").glob("*.wav"))) == 4


@pytest.mark.parametrize("repeats", [False, True])
def test_upload(interrupt: Interrupt, song: Path, repeats: bool) -> None:
    assert interrupt(UPLOAD, "upload", song, repeats=repeats) == (
        130,
        "Interrupted; the upload is not complete. Run the same command again\n",
    )


@pytest.mark.parametrize("command", ["credits", "models"])
def test_other_commands(interrupt: Interrupt, command: str) -> None:
    assert interrupt(command, command) == (130, "Interrupted; run the same command again\n")
