"""Kill and stop the service's processes while it works, restart them, and check the invariants."""

from __future__ import annotations

import random
import signal
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil

from aistemsplitter_server.kit import heartbeats
from aistemsplitter_server.kit.settings import PREFIX
from customers import Customer
from invariants import Order, violations
from ports import free_port
from processes import Service, until
from receiver import Receiver, receiving

RATE = 44100
SECONDS = (2.5, 4.0, 6.2, 9.0, 12.7)  # durations; no song ends at the end of a segment
STEMS = (["vocals", "drums", "bass", "other"], ["vocals"], ["drums", "instrumental"])


@dataclass
class Report:
    """Statistics of a run, and the faults found."""

    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


class Fleet:
    """An API process and workers, each restarted after it was killed."""

    def __init__(self, service: Service, workers: int) -> None:
        self.port = free_port()
        self._service = service
        api = ("api", "--port", str(self.port))
        self._commands = {"api": api, **{f"worker {n + 1}": ("worker",) for n in range(workers)}}
        self._running = {name: service.start(*command) for name, command in self._commands.items()}
        self._stopped: str | None = None
        self._family: list[psutil.Process] = []  # of the stopped worker

    def kill(self, chance: random.Random, pause: float) -> str:
        """Kill a random process by SIGKILL and restart it; return its kind."""
        name = chance.choice([name for name in self._commands if name != self._stopped])
        process = self._running[name]
        if process.poll() is not None:
            raise AssertionError(f"{name} exited: {process.returncode}")
        process.kill()
        process.wait()
        time.sleep(pause)  # others work without it for a while
        self._running[name] = self._service.start(*self._commands[name])
        return name.partition(" ")[0]

    def stop(self, chance: random.Random) -> str:
        """Stop a worker and its children by SIGSTOP; the other processes must kill it.

        Only a worker with heartbeats is stopped: before them it cannot block other processes.
        """
        workers = [name for name in self._commands if name != "api"]
        beating = until(lambda: [name for name in workers if self._beats(name)])
        self._stopped = chance.choice(beating)
        worker = psutil.Process(self._running[self._stopped].pid)
        self._family = [worker, *worker.children(recursive=True)]
        for process in self._family:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        return "stopped worker"

    def _beats(self, name: str) -> bool:
        folder = self._service.settings.data / heartbeats.FOLDER
        pid = f'"pid": {self._running[name].pid},'
        return any(pid in path.read_text() for path in folder.glob("wrk_*.lock"))

    def restart_stopped(self) -> bool:
        """Start the stopped worker again if it was killed; return whether none is stopped."""
        if self._stopped is None:
            return True
        status = self._running[self._stopped].poll()
        if status is None:
            return False
        assert status == -signal.SIGKILL
        self._running[self._stopped] = self._service.start(*self._commands[self._stopped])
        self._stopped = None
        return True

    def end(self) -> None:
        """Kill the stopped worker."""
        for process in self._family:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def write_songs(folder: Path) -> list[Path]:
    """Write short songs of noise."""
    folder.mkdir()
    chance = np.random.default_rng(1)
    songs = []
    for seconds in SECONDS:
        songs.append(folder / f"{seconds}.wav")
        noise = chance.normal(0, 3000, (int(RATE * seconds), 2)).astype("<i2")
        with wave.open(str(songs[-1]), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(noise.tobytes())
    return songs


def run(
    service: Service,
    someone: Customer,
    *,
    splits: int,
    kills: int,
    workers: int,
    stops: bool = False,
    seed: int = 1,
    patience: float = 300.0,
    log: Callable[[str], None] = lambda _: None,
) -> Report:
    """Split songs, and kill a process every few splits.

    Args:
        stops: Whether one of the kills stops a worker instead, which the others must kill.
        patience: Time limit of the run in seconds.
        log: Called with a line on each kill.
    """
    service.environment[f"{PREFIX}RATE_LIMIT_PER_MINUTE"] = "0"
    songs = write_songs(service.settings.data.parent / "songs")
    report, chance, began = Report(), random.Random(seed), time.monotonic()
    ends = began + patience
    with (
        receiving(someone.webhook_secret, songs[0].parent) as receiver,
        ExitStack() as stack,
    ):
        fleet = Fleet(service, workers)
        stack.callback(fleet.end)
        with (
            httpx2.Client(
                base_url=f"http://127.0.0.1:{fleet.port}",
                headers=someone.headers,
                trust_env=False,
                timeout=30,
            ) as client,
            ThreadPoolExecutor(4) as pool,
        ):
            api = RetryingClient(client, ends)
            asked = [pool.submit(_order, api, receiver, songs, number) for number in range(splits)]
            strikes = sorted(chance.randrange(splits * 5 // 6) for _ in range(kills))
            stop = kills // 3 if stops else None
            for kind in _kill(fleet, api, strikes, stop, chance, ends):
                report.kills[kind] += 1
                log(f"{time.monotonic() - began:5.0f} s  {api.count} ended, killed {kind}")
            orders = [future.result() for future in asked]
            while api.ended(splits) < splits and time.monotonic() < ends:
                time.sleep(0.2)
            while len(receiver.events) < splits and time.monotonic() < ends:
                time.sleep(0.2)
            report.seconds = time.monotonic() - began
            while not fleet.restart_stopped():
                assert time.monotonic() < ends, "the stopped worker was not killed"
                time.sleep(0.2)
            report.repeated = api.repeated
            report.faults = violations(api, someone, orders, receiver)
            report.statuses = Counter(order.status for order in orders)
            report.figures = {
                "webhooks taken": sum(receiver.times.values()),
                "webhooks refused": len(receiver.refused),
                "attempts": sum(order.attempts for order in orders),
            }
    return report


def _kill(
    fleet: Fleet,
    api: RetryingClient,
    strikes: list[int],
    stop: int | None,
    chance: random.Random,
    ends: float,
) -> Iterator[str]:
    """Kill a process after each of these numbers of ended splits; yield its kind.

    Args:
        stop: Index of the strike that stops a worker instead.
    """
    for number, strike in enumerate(strikes):
        while api.ended(strike) <= strike and time.monotonic() < ends:
            time.sleep(0.2)
        time.sleep(chance.uniform(0, 1.5))  # so that any moment of a job is hit
        fleet.restart_stopped()
        yield fleet.stop(chance) if number == stop else fleet.kill(chance, chance.uniform(0, 1))


class RetryingClient:
    """A client that repeats unanswered requests, as the SDKs do."""

    def __init__(self, client: httpx2.Client, ends: float) -> None:
        self.client = client
        self.repeated = 0
        self.count = 0
        self._ends = ends
        self._seen: dict[str, bool] = {}
        self._lock = threading.Lock()

    def request(self, method: str, url: str, **fields: Any) -> httpx2.Response:
        """Return the final response."""
        while True:
            try:
                answer = self.client.request(method, url, **fields)
                if answer.status_code not in (500, 502, 503) and not (
                    answer.status_code == 409 and "IN_PROGRESS" in answer.text
                ):
                    return answer
                if answer.status_code == 500:
                    raise AssertionError(f"{method} {url}: {answer.text}")
            except httpx2.TransportError:
                pass
            assert time.monotonic() < self._ends, f"{method} {url} got no final response"
            with self._lock:
                self.repeated += 1
            time.sleep(0.2)

    def ended(self, enough: int) -> int:
        """Return the number of ended splits; stop counting at ``enough``."""
        if self.count > enough:
            return self.count
        found, cursor = 0, None
        while True:
            parameters = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
            page = self.request("GET", "/v1/audio/splits", params=parameters).json()["data"]
            found += sum(item["status"] in ("succeeded", "failed") for item in page["items"])
            cursor = page["nextCursor"]
            if cursor is None:
                self.count = found
                return found


def _order(api: RetryingClient, receiver: Receiver, songs: list[Path], number: int) -> Order:
    """Create a split, every sixth by URL and the others by upload, and repeat the request."""
    song = songs[number % len(songs)]
    source: dict[str, str]
    if number % 6 == 5:
        source = {"type": "direct_url", "url": f"{receiver.url}/{song.name}"}
    else:
        source = {"type": "uploaded_file", "uploadId": _upload(api, song)}
    stems = STEMS[number % len(STEMS)]
    body = {
        "input": source,
        "stemModel": "htdemucs_tiny",
        "stems": stems,
        "webhookUrl": f"{receiver.url}/webhook",
        "metadata": {"order": str(number)},
    }
    headers = {"Idempotency-Key": f"order-{number}"}
    answers = [
        api.request("POST", "/v1/audio/splits", json=body, headers=headers) for _ in range(2)
    ]
    made = [answer.json()["data"]["id"] for answer in answers]
    assert made[0] == made[1], "a repeated request created a second split"
    return Order(made[0], float(song.stem), stems)


def _upload(api: RetryingClient, song: Path) -> str:
    body = song.read_bytes()
    what = {"filename": song.name, "contentType": "audio/wav", "contentLength": len(body)}
    reserved = api.request("POST", "/v1/audio/uploads", json=what).json()["data"]
    # The response is 409 if the first one, which reported success, was lost.
    api.request("PUT", reserved["uploadUrl"], content=body, headers=reserved["uploadHeaders"])
    return str(reserved["uploadId"])
