"""Throughput of the API: creating and reading splits, with an empty and with a long queue.

Everything runs on this machine, including the load generator; the API runs as its users start it.
No worker runs, the uploads exist, and every accepted split is durable. Needs the test dependencies.

    python bench/service_load.py                        # on SQLite, one API process
    python bench/service_load.py --database postgres --processes 2
    python bench/service_load.py --requests 100000      # and the memory's growth
    python bench/service_load.py --in-turn              # effect of a long queue on POST

With `--in-turn` two services get requests alternately, half a second each, so that variations of
the machine affect both. `at once` is the throughput of several connections that send the next
request as soon as the last is answered; `at N/s` is the time from when a request was due until its
answer, however late it was sent.
"""

# ruff: noqa: E402  # the tests' folder has to be on the path first

from __future__ import annotations

import argparse
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from os import sysconf
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

sys.path[:0] = [str(Path(__file__).parents[1] / "server" / "tests")]

import databases
import postgres
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import PREFIX, Settings
from customers import Customer, customer
from ports import free_port
from processes import Service, running

ACCOUNTS = 8
SLICE = 0.5  # seconds
UPLOADS = 25  # of each account; a split of the same song again is as good as another


@dataclass(frozen=True)
class Round:
    """Measurements of one round."""

    seconds: float
    times: list[float]
    cpu: float  # CPU seconds of the API's processes

    def __add__(self, other: Round) -> Round:
        return Round(self.seconds + other.seconds, self.times + other.times, self.cpu + other.cpu)

    def __str__(self) -> str:
        times = sorted(self.times)
        middle, late = (1000 * times[int(len(times) * part)] for part in (0.5, 0.99))
        rate = len(times) / self.seconds
        return (
            f"{rate:5.0f}/s, {middle:.1f} ms, p99 {late:.1f} ms, worst {1000 * times[-1]:.0f} ms"
            f"; {1000 * self.cpu / len(times):.2f} ms of CPU each"
        )


class Caller:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, request: bytes) -> bytes:
        """Send a request and return the body of its response, which must be a success."""
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._received()
        head, _, body = answer.partition(b"\r\n\r\n")
        start = head.lower().index(b"content-length: ") + 16
        length = int(head[start:].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._received()
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body.decode())
        return body

    def _received(self) -> bytes:
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionError("the API hung up")
        return piece


class Load:
    """Requests to API processes, distributed in turn."""

    def __init__(self, service: Service, ports: list[int], someones: list[Customer]) -> None:
        self.service = service
        self._ports = ports
        self._keys = itertools.count()
        self._posts = [
            (one, json.dumps(one.request(one.upload())).encode())
            for _ in range(UPLOADS)
            for one in someones
        ]
        self._numbers = itertools.count()
        self.made: list[tuple[Customer, str]] = []

    def post(self, caller: Caller) -> None:
        """Create a split."""
        one, body = self._posts[next(self._numbers) % len(self._posts)]
        key = f"Idempotency-Key: {next(self._keys)}\r\n"
        answer = caller.call(_request("POST", "/v1/audio/splits", one, body, key))
        self.made.append((one, json.loads(answer)["data"]["id"]))

    def get(self, caller: Caller) -> None:
        """Read a split."""
        one, split_id = self.made[next(self._numbers) % len(self.made)]
        caller.call(_request("GET", f"/v1/audio/splits/{split_id}", one))

    def at_once(
        self,
        what: Callable[[Caller], None],
        connections: int,
        *,
        seconds: float = 1e9,
        most: int = sys.maxsize,
    ) -> Round:
        """Send requests on that many connections, each as soon as the previous one is answered."""
        begins, left = time.perf_counter(), itertools.count()

        def work(caller: Caller, times: list[float]) -> None:
            while (begun := time.perf_counter()) < begins + seconds and next(left) < most:
                what(caller)
                times.append(time.perf_counter() - begun)

        return self._round(work, connections, begins)

    def at_rate(self, what: Callable[[Caller], None], rate: float, seconds: float) -> Round:
        """Send that many requests per second, each when it is due."""
        due: Iterator[int] = itertools.count()
        begins = time.perf_counter() + 0.2  # when all connections are there

        def work(caller: Caller, times: list[float]) -> None:
            while (wanted := begins + next(due) / rate) < begins + seconds:
                time.sleep(max(0.0, wanted - time.perf_counter()))
                what(caller)
                times.append(time.perf_counter() - wanted)

        return self._round(work, 64, begins)

    def _round(
        self, work: Callable[[Caller, list[float]], None], connections: int, begins: float
    ) -> Round:
        times: list[float] = []
        faults: list[BaseException] = []

        def safely(port: int) -> None:
            try:
                work(Caller(port), times)
            except BaseException as error:
                faults.append(error)

        threads = [
            threading.Thread(target=safely, args=(self._ports[number % len(self._ports)],))
            for number in range(connections)
        ]
        cpu = self._cpu()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        return Round(time.perf_counter() - begins, times, self._cpu() - cpu)

    def _cpu(self) -> float:
        stats = (Path(f"/proc/{process.pid}/stat") for process in self.service.running)
        ticks = (stat.read_text().rpartition(")")[2].split()[11:13] for stat in stats)
        return sum(int(own) + int(system) for own, system in ticks) / sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--processes", type=int, default=1, help="API processes")
    parser.add_argument("--seconds", type=float, default=10, help="that each figure takes")
    parser.add_argument("--queued", type=int, default=10_000, help="splits in the long queue")
    parser.add_argument("--requests", type=int, default=0, help="to see how memory grows")
    parser.add_argument(
        "--in-turn", action="store_true", help="ask two services in turn, one with the long queue"
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        print(f"{options.database}, {options.processes} API processes")
        load = _load(stack, options)
        if options.in_turn:
            _in_turn(load, _load(stack, options), options)
        else:
            _measure(load, options)


def _load(stack: ExitStack, options: argparse.Namespace) -> Load:
    """Start an empty service that runs until the stack is closed."""
    folder = Path(mkdtemp())
    stack.callback(rmtree, folder)
    data = folder / "data"
    data.mkdir()
    url = f"sqlite:///{data / 'service.db'}"
    if options.database == "postgres":
        url = stack.enter_context(postgres.running(durable=True)).url("postgres")
    databases.migrate_up(url)
    database = Database(url)
    stack.callback(database.close)
    settings = Settings(data=data, database_url=url)
    service = stack.enter_context(running(settings))
    for limit in ("RATE_LIMIT_PER_MINUTE", "ACCOUNT_REQUESTS_PER_MINUTE", "ACCOUNT_QUEUED_SPLITS"):
        service.environment[PREFIX + limit] = "0"
    keys = secrets.load(data)
    someones = [customer(database, keys, seconds=1_000_000_000) for _ in range(ACCOUNTS)]
    ports = [_started(service) for _ in range(options.processes)]
    return Load(service, ports, someones)


def _in_turn(short: Load, long: Load, options: argparse.Namespace) -> None:
    """Create splits alternately in a service with a short queue and in one with a long queue."""
    for load in (short, long):
        load.at_once(load.post, 4, most=100)
    _fill(long, options.queued)
    queued = [len(load.made) for load in (short, long)]
    rounds: tuple[list[Round], list[Round]] = ([], [])
    for _ in range(int(options.seconds / SLICE)):
        for load, measured in zip((short, long), rounds, strict=True):
            measured.append(load.at_once(load.post, 8, seconds=SLICE))
    for queue, measured in zip(queued, rounds, strict=True):
        print(f"  POST, 8 at once, with {queue} queued  {sum(measured[1:], measured[0])}")


def _measure(load: Load, options: argparse.Namespace) -> None:
    seconds, service = options.seconds, load.service
    load.at_once(load.post, 4, most=100)
    load.at_once(load.get, 4, most=100)
    rate = 250 if options.processes > 1 else 150
    for queue in (0, options.queued):
        if queue:
            _fill(load, queue)
        print(f"with {len(load.made)} splits queued")
        print(f"  POST, 8 at once    {load.at_once(load.post, 8, seconds=seconds)}")
        print(f"  POST, at {rate}/s    {load.at_rate(load.post, rate, seconds)}")
        print(f"  GET,  8 at once    {load.at_once(load.get, 8, seconds=seconds)}")
        print(f"  GET,  at 600/s    {load.at_rate(load.get, 600, seconds)}", flush=True)
    if options.requests:
        steps = 5
        for step in range(steps + 1):
            sizes = ", ".join(f"{_memory(process.pid):.0f} MB" for process in service.running)
            print(f"memory after {step * options.requests // steps} requests: {sizes}", flush=True)
            if step < steps:
                some = options.requests // steps
                load.at_once(load.post, 8, most=some // 10)
                load.at_once(load.get, 8, most=some - some // 10)
    sizes = ", ".join(f"{_memory(process.pid):.0f} MB" for process in service.running)
    print(f"memory at the end: {sizes}")


def _fill(load: Load, most: int) -> None:
    """Queue splits until there are that many."""
    load.at_once(load.post, 8, most=max(0, most - len(load.made)))


def _started(service: Service) -> int:
    """Start an API process and return its port once it answers."""
    port = free_port()
    begun = time.perf_counter()
    service.start("api", "--port", str(port))
    while True:
        try:
            Caller(port).call(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        except ConnectionError:
            time.sleep(0.01)
        except RuntimeError:
            break  # it answers; no worker is running in this benchmark
        else:
            break
    print(f"  answers {time.perf_counter() - begun:.2f} s after its start")
    return port


def _request(method: str, path: str, one: Customer, body: bytes = b"", more: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {one.api_key}\r\n"
    kind = "Content-Type: application/json\r\n" if body else ""
    return f"{head}{kind}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _memory(pid: int) -> float:
    """Return the resident memory in MB."""
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
