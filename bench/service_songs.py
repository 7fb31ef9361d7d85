"""Songs per hour of one worker of the service, with one song and with several at the same time.

The service runs as its users start it, on SQLite. Uploads the same songs for each number of songs,
queues them all, and counts from the first queued to the last ended; before that, as many songs as
are separated at the same time have loaded the networks. Memory is the peak of the worker and its
child processes together (PSS, which counts shared pages once). Needs the test dependencies.

    python bench/service_songs.py
    python bench/service_songs.py --songs 6 --minutes 0.5 1 --at-once 1 2 3
"""

# ruff: noqa: E402  # the tests' folder has to be on the path first

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[:0] = [str(Path(__file__).parents[1] / "server" / "tests")]

import httpx2
import numpy as np
import psutil

import databases
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import PREFIX, Settings
from customers import customer
from material import write_song
from processes import SONG, ended, running, split, upload

PERIOD = 0.5  # seconds between two samples of the memory


@dataclass(slots=True)
class Run:
    """Seconds and peak memory in bytes of splitting all songs."""

    seconds: float = 0.0
    memory: int = 0


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--minutes", type=float, nargs=2, default=[3, 5], help="least and most")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--format", default="wav")
    options = parser.parse_args()
    print("| songs at the same time | songs per hour | times real time | peak memory, MB |")
    print("| --- | --- | --- | --- |")
    with TemporaryDirectory() as name:
        lengths = np.linspace(*options.minutes, options.songs) * 60
        songs = [
            write_song(Path(name) / f"{number:02}.wav", seconds)
            for number, seconds in enumerate(np.random.default_rng(0).permutation(lengths))
        ]
        for at_once in options.at_once:
            with TemporaryDirectory() as folder:
                run = _measured(Path(folder) / "data", songs, at_once, options.format)
            print(
                f"| {at_once} | {3600 * len(songs) / run.seconds:,.0f} "
                f"| {lengths.sum() / run.seconds:.1f} | {run.memory / 1e6:,.0f} |",
                flush=True,
            )


def _measured(data: Path, songs: list[Path], at_once: int, format: str) -> Run:
    data.mkdir()
    url = f"sqlite:///{data / 'service.db'}"
    databases.migrate_up(url)
    database = Database(url)
    one = customer(database, secrets.load(data), seconds=1_000_000)
    run = Run()
    with running(Settings(data=data, database_url=url)) as service, service.api() as client:
        client.headers.update(one.headers)
        service.environment[f"{PREFIX}WORKER_SONGS"] = str(at_once)
        worker = service.start("worker")
        _split(client, [SONG] * at_once, format)
        with _watching(worker.pid, run):
            run.seconds = _split(client, songs, format)
    database.close()
    return run


def _split(client: httpx2.Client, songs: list[Path], format: str) -> float:
    """Split songs; return the seconds from the first queued to the last ended."""
    uploads = [upload(client, song) for song in songs]
    began = time.monotonic()
    for split_id in [split(client, each, outputFormat=format) for each in uploads]:
        if (final := ended(client, split_id))["status"] != "succeeded":
            sys.exit(f"{split_id} failed: {final['error']}")
    return time.monotonic() - began


@contextmanager
def _watching(pid: int, run: Run) -> Iterator[None]:
    """Note the peak memory of a process and its children during the block."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(PERIOD):
            with suppress(psutil.NoSuchProcess):  # a child may end while it is read
                process = psutil.Process(pid)
                family = [process, *process.children(recursive=True)]
                memory = sum(each.memory_full_info().pss for each in family)
                run.memory = max(run.memory, memory)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
