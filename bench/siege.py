"""Effect of five attackers on the latencies of one customer.

A victim calls the API twice a second and has short songs split one after another, at most one every
ten seconds, on SQLite with one API process and one worker: first alone, then beside five attackers.
They submit URLs that send bytes slowly and webhooks that are never answered, send JSON bombs,
submit the same uploads again and again, and open idle connections. All run on loopback, bounded in
count and time. Needs the test dependencies.

    python bench/siege.py                                # three minutes, ten times the counts
    python bench/siege.py --seconds 60 --scale 1
    python bench/siege.py --checkout ../before           # the service of another checkout

The aims are an API p99 under 300 ms, a song that starts within 10 s of its fair turn, and a webhook
within 5 s of the song's end. A song's fair turn comes when the worker has finished the song that it
was separating and one song of each other account that had songs queued.
"""

# ruff: noqa: E402  # the tests' folder has to be on the path first

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import httpx2
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1] / "server" / "tests")]

from processes import SONGS, free_port, until

PREFIX = "AISTEMSPLITTER_SERVER_"
SONG = SONGS / "sample" / "mixture.flac"  # 20 s
SONG_EVERY = 10.0  # seconds
PAUSE = 0.5  # seconds from one round of calls to the next
POLL = 1.0  # seconds between two requests for the state of a song
PATIENCE = 180.0  # time limit of a song in seconds
AIMS = {"API, p99": 0.3, "start after fair turn": 10.0, "webhook after the end": 5.0}  # seconds
ATTACKERS = 3  # number of attackers that need a key
console = Console()


@dataclass
class Noticed:
    """Measurements of the victim, in seconds."""

    calls: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by path
    faults: list[str] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)  # of starts, after the fair turn
    delays: list[float] = field(default_factory=list)  # of webhooks, after the end of their song
    succeeded: set[str] = field(default_factory=set)  # splits
    webhooks: dict[str, float] = field(default_factory=dict)  # arrival by split, since the epoch

    @property
    def all_calls(self) -> list[float]:
        """Durations of the calls of every path."""
        return list(chain.from_iterable(self.calls.values()))


@dataclass(frozen=True, slots=True)
class Separation:
    """A split that the worker has started; times are seconds since the epoch."""

    split: str
    account: str
    queued: float
    started: float
    ended: float


def lateness(separations: list[Separation], splits: Iterable[str]) -> list[float]:
    """Return by how many seconds each split of one account started after its fair turn.

    A split waits from the time when it was queued, or when the account's previous split started if
    that is later. Its fair turn comes after the separation that was in progress at that time and
    one separation of each other account.
    """
    found = []
    previous = 0.0
    for mine in separations:
        if mine.split not in splits:
            continue
        since = max(mine.queued, previous)
        turn = max([since, *(s.ended for s in separations if s.started <= since < s.ended)])
        served = {mine.account}
        for other in separations:
            if since < other.started < mine.started and other.account not in served:
                served.add(other.account)
                turn = max(turn, other.ended)
        found.append(max(0.0, mine.started - turn))
        previous = mine.started
    return found


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


class Service:
    """An API process and a worker of a checkout, on a data folder of their own."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self._data = folder / "data"
        self.port = free_port()
        self._log = (folder / "log").open("ab")
        sources = [str(checkout / package / "src") for package in ("engine", "sdk", "server")]
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sources),
            f"{PREFIX}ALLOW_PRIVATE_NETWORKS": "127.0.0.1/32",
            f"{PREFIX}OFFLINE": "true",
            f"{PREFIX}DEMO": "true",
        }
        self.run("db", "upgrade")
        self._processes = [self._start("api", "--port", str(self.port)), self._start("worker")]

    def run(self, *command: str) -> str:
        """Run a command of the service to its end and return what it prints."""
        return subprocess.run(
            self._command(*command),
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=self._log,
            check=True,
            text=True,
        ).stdout

    def customer(self, name: str, minutes: int) -> str:
        """Create an account and return its API key."""
        account = json.loads(self.run("accounts", "create", name, "--json"))["id"]
        self.run("credits", "grant", account, "--minutes", str(minutes))
        key: str = json.loads(self.run("keys", "create", "--account", account, "--json"))["apiKey"]
        return key

    def separations(self) -> list[Separation]:
        """Return the separations that have started so far, in order of their start."""
        columns = "id, account_id, created_at, started_at, coalesce(finished_at, updated_at)"
        query = f"SELECT {columns} FROM splits WHERE started_at IS NOT NULL ORDER BY started_at"
        with closing(sqlite3.connect(self._data / "service.db")) as database:
            return [
                Separation(split, account, *map(_epoch, moments))
                for split, account, *moments in database.execute(query)
            ]

    def stop(self) -> None:
        """Kill both processes."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._log.close()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(*command), env=self._environment, stdout=self._log, stderr=self._log
        )

    def _command(self, *command: str) -> list[str]:
        return [sys.executable, "-m", "aistemsplitter_server", "--data", str(self._data), *command]


class Victim:
    """A customer with an ordinary load: regular calls, and one song after another."""

    def __init__(self, service: Service, key: str, hook: str, noticed: Noticed) -> None:
        self._client = httpx2.Client(
            base_url=f"http://127.0.0.1:{service.port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )
        self._hook = hook
        self._noticed = noticed

    def work(self, seconds: float, what: str) -> None:
        """Call the API and have songs split for the given number of seconds."""
        songs = threading.Thread(target=self._songs, args=(time.monotonic() + seconds,))
        songs.start()
        begun = time.monotonic()
        for step in track(range(int(seconds / PAUSE)), description=what, console=console):
            self._call("GET", "/v1/credits")
            self._call("GET", "/v1/audio/splits")
            self._call("GET", "/healthz")
            # The pace of the calls: one round every PAUSE seconds.
            time.sleep(max(0.0, begun + (step + 1) * PAUSE - time.monotonic()))
            if time.monotonic() > begun + seconds:
                break
        songs.join()

    def _songs(self, deadline: float) -> None:
        while (begun := time.monotonic()) < deadline:
            self._song()
            # The pace of the songs: at most one every SONG_EVERY seconds.
            time.sleep(max(0.0, begun + SONG_EVERY - time.monotonic()))

    def _song(self) -> None:
        body = SONG.read_bytes()
        reservation = {
            "filename": SONG.name,
            "contentType": "audio/flac",
            "contentLength": len(body),
        }
        try:
            reserved = self._call("POST", "/v1/audio/uploads", json=reservation)["data"]
            sent = self._client.post(
                reserved["uploadUrl"], content=body, headers=reserved["uploadHeaders"]
            )
            sent.raise_for_status()
            source = {"type": "uploaded_file", "uploadId": reserved["uploadId"]}
            order = {"input": source, "stemModel": "htdemucs_tiny", "webhookUrl": self._hook}
            split = self._call("POST", "/v1/audio/splits", json=order)["data"]["id"]
            until(lambda: self._status(split) in ("succeeded", "failed"), PATIENCE)
            until(lambda: split in self._noticed.webhooks, PATIENCE)
            if self._status(split) == "succeeded":
                self._noticed.succeeded.add(split)
            else:
                self._noticed.faults.append(f"song: {split} failed")
        except (httpx2.HTTPError, KeyError, AssertionError) as error:
            self._noticed.faults.append(f"song: {error!r}")

    def _status(self, split: str) -> str:
        status: str = self._call("GET", f"/v1/audio/splits/{split}")["data"]["status"]
        time.sleep(POLL)  # the pace of a client that polls
        return status

    def _call(self, method: str, path: str, **options: object) -> dict:
        began = time.perf_counter()
        try:
            answer = self._client.request(method, path, **options)
            if answer.status_code != 200:
                self._noticed.faults.append(f"{path}: {answer.status_code}")
            return answer.json()
        except httpx2.TransportError as error:
            self._noticed.faults.append(f"{path}: {type(error).__name__}")
            raise
        finally:
            kind = re.sub(r"split_\w+", "{id}", f"{method} {path}")
            self._noticed.calls[kind].append(time.perf_counter() - began)


@contextmanager
def receiving(noticed: Noticed) -> Iterator[str]:
    """Run a receiver of the victim's webhooks and yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            noticed.webhooks.setdefault(event["data"]["id"], time.time())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    finally:
        server.shutdown()
        thread.join()


def main() -> None:
    """Measure the victim alone and under siege, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=180, help="that the siege lasts")
    parser.add_argument("--scale", type=float, default=10, help="times the counts of one siege")
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parents[1])
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(mkdtemp())
        stack.callback(rmtree, folder)
        service = Service(folder, options.checkout.resolve())
        stack.callback(service.stop)
        victim = service.customer("victim", 1000)
        attackers = [service.customer(f"attacker {n}", 10_000) for n in range(ATTACKERS)]
        until(lambda: _ready(service.port))
        alone = _measured(service, victim, 30, "alone")
        attack = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("siege_attacks.py")),
                *map(str, (service.port, options.seconds, options.scale)),
                *attackers,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        siege = _measured(service, victim, options.seconds, "under siege")
        answers = json.loads(attack.communicate()[0])
    _print(alone, siege, answers)


def _ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def _measured(service: Service, key: str, seconds: float, what: str) -> Noticed:
    noticed = Noticed()
    with receiving(noticed) as hook:
        try:
            Victim(service, key, hook, noticed).work(seconds, what)
        except httpx2.TransportError as error:
            console.print(f"the victim gave up: {error!r}")
    separations = service.separations()
    noticed.lateness = lateness(separations, noticed.succeeded)
    noticed.delays = [
        noticed.webhooks[each.split] - each.ended
        for each in separations
        if each.split in noticed.succeeded
    ]
    return noticed


def _print(alone: Noticed, siege: Noticed, answers: dict[str, int]) -> None:
    table = Table("", "alone", "under siege", "aim")
    rows = {
        "API, median": [_share(found.all_calls, 0.5) for found in (alone, siege)],
        "API, p99": [_share(found.all_calls, 0.99) for found in (alone, siege)],
        "start after fair turn": [_share(found.lateness, 1.0) for found in (alone, siege)],
        "webhook after the end": [_share(found.delays, 1.0) for found in (alone, siege)],
    }
    for name, figures in rows.items():
        aim = AIMS.get(name)
        table.add_row(name, *figures, f"{aim:g} s" if aim else "")
    songs = [f"{len(found.succeeded)} of {_begun(found)}" for found in (alone, siege)]
    table.add_row("songs that succeeded", *songs, "all")
    table.add_row("calls that failed", *(str(len(found.faults)) for found in (alone, siege)), "0")
    console.print(table)
    console.print("Latest start and webhook; the attackers were answered:")
    for attack, number in answers.items():
        console.print(f"  {attack}: {number:,}")
    for kind, times in siege.calls.items():
        console.print(f"  {kind}: p99 {_share(times, 0.99)}, largest {_share(times, 1.0)}")
    for fault in sorted(set(siege.faults))[:10]:
        console.print(f"  fault: {fault}")


def _begun(noticed: Noticed) -> int:
    lost = sum(fault.startswith("song:") for fault in noticed.faults)
    return len(noticed.succeeded) + lost


def _share(times: list[float], share: float) -> str:
    """Return a quantile as text; the largest for a share of 1."""
    if not times:
        return "none"
    found = sorted(times)[min(len(times) - 1, int(len(times) * share))]
    return f"{found * 1000:.0f} ms" if found < 1 else f"{found:.1f} s"


if __name__ == "__main__":
    main()
