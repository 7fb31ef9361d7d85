"""A reader who follows a page: runs its code blocks in order in one folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_port

BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)
EXPORT = re.compile(r"^export (\w+)=(.*)$", re.MULTILINE)
UP = re.compile(r"(\S*/)?aistemsplitter-server up\b")
NOT_RUN = {"text", "ini", "yaml", "toml"}  # output and configuration files
SERVER = "AISTEMSPLITTER_SERVER_"
STARTS_WITHIN = 180.0  # seconds; only reached if a test fails


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the language and the code of each of a page's code blocks."""
    return BLOCK.findall(page.read_text())


def commands(console: str) -> list[str]:
    """Return the commands of a console block, without prompts, comments at line ends and output."""
    return [re.sub(r"\s{2,}# .*$", "", command) for command in COMMAND.findall(console)]


class Reader:
    """One reader's folder, shell with persistent exports, and running service."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {
            **environment,
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            SERVER + "DATA": str(folder / "data"),
            SERVER + "OFFLINE": "true",
            SERVER + "PORT": str(free_port()),
            SERVER + "LAN_PORT": str(free_port()),
        }
        self._service: subprocess.Popen[bytes] | None = None

    def read(self, page: Path) -> None:
        """Run all blocks of a page, in order."""
        for number, (language, code) in enumerate(blocks(page), 1):
            try:
                self.run(language, code)
            except AssertionError as error:
                error.add_note(f"block {number} of {page.name}:\n{code}")
                raise

    def run(self, language: str, code: str) -> None:
        """Run one block."""
        match language:
            case "json":
                json.loads(code)
            case "python":
                (self.folder / "test_block.py").write_text(code)
                runner = "-m pytest -q -p no:cacheprovider" if "def test_" in code else ""
                self.type(f"{sys.executable} {runner} test_block.py")
            case "console":
                typed = commands(code)
                assert typed, "no line begins with $"
                for command in typed:
                    self.type(command)
            case "sh" | "bash":
                self.type(code)
            case _:
                assert language in NOT_RUN, f"nothing runs blocks in {language!r}"

    def type(self, command: str) -> None:
        """Run one command, and keep its exports.

        Packages are only resolved, not installed, and a service keeps running until the end.
        """
        if UP.match(command):
            self._start(command)
            return
        pip = f"{sys.executable} -m pip install -q --dry-run --no-deps"
        command = re.sub(r"\bpip install\b", pip, command)
        service = self.environment.get("AISTEMSPLITTER_BASE_URL", "").removesuffix("/v1")
        command = command.replace("http://127.0.0.1:8000", service)
        exports = self.folder / ".exports"
        done = subprocess.run(
            ["bash", "-ec", f"{command}\nexport -p > {exports}"],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.environment |= {
            name: value.strip('"')
            for name, value in re.findall(
                r"^declare -x (AISTEMSPLITTER_\w+)=(.*)$", exports.read_text(), re.MULTILINE
            )
        }

    def _start(self, command: str) -> None:
        """Start the service, wait until it is ready, and paste the exports that it prints."""
        assert self._service is None, "the page starts a second service"
        log, output = self.folder / "service.log", self.folder / "service.txt"
        with log.open("wb") as errors, output.open("wb") as prints:
            self._service = subprocess.Popen(
                command.split(),
                cwd=self.folder,
                env=self.environment,
                stdout=prints,
                stderr=errors,
            )
        url = f"http://127.0.0.1:{self.environment[SERVER + 'PORT']}/readyz"
        end = time.monotonic() + STARTS_WITHIN
        while not _answers(url):
            assert self._service.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        printed = dict(EXPORT.findall(output.read_text()))
        assert "AISTEMSPLITTER_BASE_URL" in printed, output.read_text()
        self.environment |= printed

    def stop(self) -> None:
        """Stop the service, if one was started."""
        if self._service is not None:
            self._service.terminate()
            self._service.wait(60)


@contextmanager
def reader(folder: Path, environment: dict[str, str]) -> Iterator[Reader]:
    """Run the block with a new reader, and stop its service afterwards."""
    someone = Reader(folder, environment)
    try:
        yield someone
    finally:
        someone.stop()


def without_settings() -> dict[str, str]:
    """Return this process's environment without any of our settings."""
    return {name: value for name, value in os.environ.items() if "AISTEMSPLITTER" not in name}


def give_song(folder: Path, song: Path, root: Path) -> None:
    """Put a song and the repository's folders where the reader expects them."""
    shutil.copy(song, folder / "song.mp3")
    for name in ("engine", "sdk", "server", "songs", "examples"):
        (folder / name).symlink_to(root / name)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
