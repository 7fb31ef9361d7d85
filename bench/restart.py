"""Requests refused while the service is restarted, with open event streams and downloads.

`up` runs as the shipped systemd units run it: a socket that outlives it is passed to it, SIGTERM
ends it, and it is started again when it has ended, as by `systemctl restart`. Meanwhile clients
send requests, some on a new connection each and some on one that they keep, follow a queued split
by its event stream, and download stems so slowly that a restart interrupts them. Clients reconnect
only after a stream that sent `retry:`, and continue an interrupted download with `Range`.

    python bench/restart.py                                 # five restarts
    python bench/restart.py --restarts 20 --clients 16
"""

# ruff: noqa: E402  # the tests' folder has to be on the path first

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import socket
import statistics
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "server" / "tests")]

import activation
from aistemsplitter_server.http import listening
from command_line import COMMAND
from processes import ended, split, until, upload

SHORT, LONG = 60, 600  # seconds of the song that is downloaded, and of those that wait in the queue
STREAMS, DOWNLOADS = 8, 4
BYTES_A_SECOND = 400_000  # of a download: the stem of the short song then takes 26 s
PIECE = 1 << 16
PAUSE = 0.05  # seconds between two requests of a client
PATIENCE = 120.0  # seconds that a client waits for an answer
KEY = re.compile(r"ast_live_\w+")


@dataclass
class Count:
    """Counts of what all clients received, and what went wrong."""

    waits: list[float] = field(default_factory=list)  # seconds of each answered request
    faults: list[str] = field(default_factory=list)
    streams: int = 0  # that ended with a hint to reconnect
    interrupted: int = 0  # downloads that were continued
    downloads: int = 0  # that ended whole


class Service:
    """`up` with a socket of its own, restarted as systemd does."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self._folder, self._listener = folder, listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._process = self._start()

    def restart(self) -> float:
        """End the service and start it again; return the seconds until it is ready."""
        began = time.monotonic()
        self.stop()
        self._process = self._start()
        self.wait()
        return time.monotonic() - began

    def stop(self) -> None:
        """End the service."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def wait(self) -> None:
        """Wait until the service is ready."""
        until(lambda: httpx2.get(f"{self.url}/readyz", timeout=PATIENCE).status_code == 200)

    def key(self) -> str:
        """Return the API key that the first start printed."""
        found = KEY.search((self._folder / "output").read_text())
        assert found is not None
        return found[0]

    def _start(self) -> Any:
        environment = {
            "AISTEMSPLITTER_SERVER_FREE_MINUTES": "1000",
            "AISTEMSPLITTER_SERVER_RATE_LIMIT_PER_MINUTE": "0",
            "AISTEMSPLITTER_SERVER_ACCOUNT_REQUESTS_PER_MINUTE": "0",
        }
        with (self._folder / "output").open("a") as output, (self._folder / "log").open("a") as log:
            return activation.start(
                self._listener,
                [*COMMAND, "--data", str(self._folder / "data"), "up", "--demo", "--offline"],
                env={**os.environ, **environment},
                stdout=output,
                stderr=log,
            )


def main() -> None:
    """Measure, print the table, and exit with 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8, help="of each of the two kinds")
    options = parser.parse_args()
    with TemporaryDirectory() as name, _started(Path(name)) as service:
        headers = {"Authorization": f"Bearer {service.key()}"}
        with httpx2.Client(base_url=service.url, headers=headers, timeout=PATIENCE) as client:
            stems, waiting = _prepare(client, Path(name))
            count = Count()
            seconds = _under_load(service, client, stems, waiting, count, options)
    _print(count, seconds)
    raise SystemExit(bool(count.faults))


@contextmanager
def _started(folder: Path) -> Iterator[Service]:
    with listening.listen("127.0.0.1", 0) as listener:
        service = Service(folder, listener)
        try:
            service.wait()
            yield service
        finally:
            service.stop()


def _prepare(client: httpx2.Client, folder: Path) -> tuple[list[str], str]:
    """Return the URLs of a song's stems, and a split behind enough others to stay queued."""
    short, long = folder / "short.wav", folder / "long.wav"
    _write(short, SHORT)
    _write(long, LONG)
    stems = ended(client, split(client, upload(client, short)))["stems"]
    song = upload(client, long)
    return [*stems.values()], [split(client, song) for _ in range(30)][-1]


def _write(path: Path, seconds: int) -> None:
    noise = np.random.default_rng(1).normal(0, 3000, (44100 * seconds, 2)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(noise.tobytes())


def _under_load(
    service: Service,
    client: httpx2.Client,
    stems: list[str],
    waiting: str,
    count: Count,
    options: argparse.Namespace,
) -> list[float]:
    """Restart the service under load; return the seconds that each restart took."""
    digests = {url: hashlib.sha256(client.get(url).content).hexdigest() for url in stems}
    over = threading.Event()
    tasks: list[Callable[[], None]] = []
    for kept in [False, True] * options.clients:
        tasks.append(lambda kept=kept: _ask(client, kept, count, over))
    tasks += [lambda: _follow(client, waiting, count, over)] * STREAMS
    for number in range(DOWNLOADS):
        url = stems[number % len(stems)]
        tasks.append(lambda url=url: _download(url, digests[url], count, over))
    with ThreadPoolExecutor(len(tasks)) as threads:
        running: list[Future[None]] = [threads.submit(task) for task in tasks]
        try:
            seconds = []
            for _ in range(options.restarts):
                over.wait(5)  # all clients are busy again
                seconds.append(service.restart())
            over.wait(5)
        finally:
            over.set()
        for future in running:
            future.result()
    return seconds


def _ask(client: httpx2.Client, kept: bool, count: Count, over: threading.Event) -> None:
    """Send requests, each on a connection of its own unless it is kept."""
    kind = "kept connection" if kept else "new connection"
    more = {} if kept else {"Connection": "close"}
    own = httpx2.Client(base_url=client.base_url, headers=client.headers, timeout=PATIENCE)
    with own:
        while not over.wait(PAUSE):
            began = time.monotonic()
            try:
                answer = own.get("/v1/credits", headers=more)
            except httpx2.HTTPError as error:
                count.faults.append(f"{kind}: {error!r}")
                continue
            count.waits.append(time.monotonic() - began)
            if answer.status_code != 200:
                count.faults.append(f"{kind}: {answer.status_code}")


def _follow(client: httpx2.Client, waiting: str, count: Count, over: threading.Event) -> None:
    """Follow a split; reconnect when the stream ends with the hint to do so."""
    while not over.is_set():
        hinted = False
        try:
            with client.stream("GET", f"/v1/audio/splits/{waiting}/events") as events:
                for line in events.iter_lines():
                    hinted |= line.startswith("retry:")
                    if over.is_set():
                        return
        except httpx2.HTTPError as error:
            count.faults.append(f"event stream: {error!r}")
            continue
        if not hinted:
            count.faults.append("event stream: ended without a hint to reconnect")
            return
        count.streams += 1
        over.wait(1)


def _download(url: str, digest: str, count: Count, over: threading.Event) -> None:
    """Download a stem slowly, again and again, and compare its digest."""
    while not over.is_set():
        received = bytearray()
        while not (whole := _more(url, received, count, over)) and not over.is_set():
            count.interrupted += 1
        if whole:
            count.downloads += 1
            if hashlib.sha256(received).hexdigest() != digest:
                count.faults.append("download: other bytes")


def _more(url: str, received: bytearray, count: Count, over: threading.Event) -> bool:
    """Receive more of a file, from where it broke off; return whether it is whole."""
    headers = {"Range": f"bytes={len(received)}-"} if received else {}
    try:
        with httpx2.stream("GET", url, headers=headers, timeout=PATIENCE) as answer:
            if answer.status_code not in (200, 206):
                count.faults.append(f"download: {answer.status_code}")
            for piece in answer.iter_raw(PIECE):
                received += piece
                if over.wait(len(piece) / BYTES_A_SECOND):
                    return False
        return True
    except (httpx2.RemoteProtocolError, httpx2.ReadError):
        return False  # cut off when the time to drain was over
    except httpx2.HTTPError as error:
        count.faults.append(f"download: {error!r}")
        return False


def _print(count: Count, seconds: list[float]) -> None:
    listed = ", ".join(f"{one:.1f}" for one in seconds)
    print(f"{len(seconds)} restarts, which took {listed} s")
    print(f"| requests answered                   | {len(count.waits)} |")
    print(f"| requests, streams or files refused  | {len(count.faults)} |")
    print(f"| median wait, s                      | {statistics.median(count.waits):.3f} |")
    print(f"| longest wait, s                     | {max(count.waits):.1f} |")
    print(f"| streams ended with a hint           | {count.streams} |")
    print(f"| downloads whole, and continued      | {count.downloads}, {count.interrupted} |")
    for fault in sorted(set(count.faults)):
        print(f"  {count.faults.count(fault)} x {fault}")


if __name__ == "__main__":
    main()
