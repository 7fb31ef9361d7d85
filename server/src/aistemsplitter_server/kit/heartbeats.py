"""Heartbeat files of the processes that share a data folder, and killing those that stall.

A process holds a lock on its file, which the system releases however the process ends, and writes a
growing number into it. A process that is stopped or hangs does not write, but may hold SQLite's
write lock, so that no other process can write. Therefore processes on the same machine kill it.
None of this uses the database, which that process may be blocking.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from pathlib import Path

import psutil

from aistemsplitter_server.kit.periodic import repeating

logger = logging.getLogger(__name__)

FOLDER = "processes"  # in the data folder
PERIOD = 5.0  # seconds between two heartbeats
STALLED_AFTER = 30.0  # seconds without one
POLL = 2.0  # seconds between two checks of the other processes' files
FORGOTTEN_AFTER = 3600.0  # seconds without a heartbeat after which a file is deleted


@contextmanager
def beating(data: Path, name: str, stalled_after: float = STALLED_AFTER) -> Iterator[None]:
    """Keep this process's heartbeat file, and kill others that stall, until the block ends.

    Args:
        data: Data folder that the processes share.
        name: Name of this process, unique for ever.
        stalled_after: Seconds without a heartbeat after which another process is killed.
    """
    path = _path(data, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    period = min(PERIOD, stalled_after / 6)
    watch = Watch(path.parent, stalled_after)
    with path.open("w+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _beat(file.fileno(), 0)
        beat = partial(_try_to_beat, file.fileno(), count(1))
        check = partial(_try_to_check, watch)
        try:
            with repeating(beat, period, "heartbeat"), repeating(check, min(POLL, period), "watch"):
                yield
        finally:
            path.unlink(missing_ok=True)


def has_ended(data: Path, name: str) -> bool:
    """Return whether a process has left its file behind unlocked: it has died."""
    return _is_released(_path(data, name))


def is_local(data: Path, name: str) -> bool:
    """Return whether a process runs on this machine, so that it is killed here if it stalls."""
    found = _read(_path(data, name))
    return found is not None and found.machine == _machine()


def long_dead(data: Path) -> list[str]:
    """Return the names of processes that died long ago and whose files still exist."""
    names = []
    for path in (data / FOLDER).glob("*.lock"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - FORGOTTEN_AFTER:
                names.append(path.stem)
    return names


def remove(data: Path, name: str) -> None:
    """Delete the file of such a process.

    Raises:
        OSError: It cannot be deleted now.
    """
    _path(data, name).unlink(missing_ok=True)


class Watch:
    """Watches heartbeat files, and kills processes of this machine that stall.

    Only time during which the files were checked without a break counts. Otherwise a machine that
    wakes up, or a process that was itself stopped, would find all others stalled.

    Args:
        folder: Folder of the files.
        patience: Seconds without a heartbeat after which a process is killed.
    """

    def __init__(self, folder: Path, patience: float) -> None:
        self._folder = folder
        self._patience = patience
        self._looked = 0.0
        self._seen: dict[Path, tuple[_Heartbeat, float]] = {}  # the last heartbeat, and since when
        self._reported: set[Path] = set()

    def check(self) -> None:
        """Check all files once."""
        now = time.monotonic()
        if now - self._looked > self._patience / 3:
            self._seen.clear()
        self._looked = now
        for path in self._folder.glob("*.lock"):
            heartbeat = _read(path)
            if heartbeat is None or heartbeat.machine != _machine():
                continue
            if heartbeat.pid == os.getpid():
                continue
            last, since = self._seen.get(path, (None, now))
            if heartbeat != last:
                self._seen[path] = heartbeat, now
            elif now - since >= self._patience and not _is_released(path):
                self._kill(path, heartbeat)

    def _kill(self, path: Path, heartbeat: _Heartbeat) -> None:
        try:
            process = psutil.Process(heartbeat.pid)
            family = [process, *process.children(recursive=True)]
            # While the lock is held the process exists, so its id does not belong to another one.
            if _is_released(path) or _read(path) != heartbeat:
                return
            logger.error(
                "%s (process %d) has stalled: no heartbeat for %g s; killing it",
                path.stem,
                heartbeat.pid,
                self._patience,
            )
            for member in family:  # a stopped child would not notice that its parent ends
                with suppress(psutil.NoSuchProcess):
                    member.kill()
        except psutil.NoSuchProcess:
            pass
        except psutil.AccessDenied:
            if path not in self._reported:
                self._reported.add(path)
                logger.error(
                    "%s (process %d) has stalled and belongs to another user: kill it",
                    path.stem,
                    heartbeat.pid,
                )


@dataclass(frozen=True, slots=True)
class _Heartbeat:
    machine: str
    pid: int
    count: int


def _try_to_beat(file: int, numbers: Iterator[int]) -> None:
    try:
        _beat(file, next(numbers))
    except OSError as error:
        logger.warning("no heartbeat: %s", error.strerror)


def _try_to_check(watch: Watch) -> None:
    try:
        watch.check()
    except OSError as error:
        logger.warning("heartbeats cannot be read: %s", error.strerror)


def _beat(file: int, number: int) -> None:
    # Of constant length while the digits last, so that a reader never sees a mixture of two.
    text = json.dumps({"machine": _machine(), "pid": os.getpid(), "count": f"{number:09}"})
    os.pwrite(file, text.encode(), 0)


def _read(path: Path) -> _Heartbeat | None:
    try:
        found = json.loads(path.read_bytes())
        return _Heartbeat(str(found["machine"]), int(found["pid"]), int(found["count"]))
    except (OSError, ValueError, KeyError, TypeError):  # deleted, or not written yet
        return None


def _is_released(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            # shared, so that other processes can check too
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except OSError:  # no such file, or locked
        return False


def _path(data: Path, name: str) -> Path:
    return data / FOLDER / f"{name}.lock"


@cache
def _machine() -> str:
    """Identify this machine since its start, and the namespace in which process ids are valid."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return platform.node()
