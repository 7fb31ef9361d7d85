"""Download speed of the SDK, compared with curl on the same loopback server.

The server hands files from the page cache to its sockets (``sendfile``), so it is faster than
either client. Where it announces the SHA-256 of the whole, as the service does, the SDK checks it;
curl never does, so the fair ratio is the one without. All run in turn, several times. The
table shows the best time of each, the median of its ratios to curl in the same round, and the peak
memory of its process.

    python bench/download.py
    python bench/download.py --megabytes 200 --rounds 2
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import math
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

from aistemsplitter import AiStemSplitter, AsyncAiStemSplitter, Split


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digest = write_random(folder / "stem", options.megabytes)
        here, there = Pipe()
        server = get_context("spawn").Process(
            target=serve, args=(folder / "stem", digest, there), daemon=True
        )
        server.start()
        url = here.recv()
        out, plain = folder / "out", url + "/plain"
        ways: dict[str, Callable[[], tuple[float, int]]] = {}
        if shutil.which("curl"):
            ways["curl"] = partial(curl, url, out)
        for kind in ("sync", "async"):
            ways[f"SDK, {kind}"] = partial(in_child, kind, plain, out)
            ways[f"SDK, {kind}, checksum verified"] = partial(in_child, kind, url, out)
        took: dict[str, list[float]] = {way: [] for way in ways}
        memory = dict.fromkeys(ways, 0)
        for _ in range(options.rounds):
            for way, run in ways.items():
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                seconds, peak = run()
                took[way].append(seconds)
                memory[way] = max(memory[way], peak)
        server.terminate()
    print(f"| {options.megabytes:,} MB | s | MB/s | of curl | peak memory, MB |")
    print("| --- | --- | --- | --- | --- |")
    for way, seconds in took.items():
        pairs = zip(took.get("curl", ()), seconds, strict=False)
        ratio = statistics.median([theirs / ours for theirs, ours in pairs] or [math.nan])
        best, peak = min(seconds), memory[way] / 1e6
        speed = options.megabytes / best
        print(f"| {way} | {best:.2f} | {speed:,.0f} | {ratio:.2f} | {peak:.0f} |")


def write_random(path: Path, megabytes: int) -> str:
    """Write a file of random bytes and return its checksum header."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(megabytes):
            piece = os.urandom(1_000_000)
            file.write(piece)
            digest.update(piece)
    return f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"


def serve(path: Path, digest: str, to_parent: Connection) -> None:
    """Serve the file, with one thread per connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    to_parent.send(f"http://127.0.0.1:{listening.getsockname()[1]}/stem")
    size = path.stat().st_size
    head = f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "1"\r\n'

    def answer(connection: socket.socket) -> None:
        with connection, path.open("rb") as file:
            while asked := connection.recv(65536):
                more = "" if b"/plain " in asked else f"Repr-Digest: {digest}\r\n"
                connection.sendall(f"{head}{more}\r\n".encode())
                connection.sendfile(file, 0)

    while True:
        connection, _ = listening.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def curl(url: str, out: Path) -> tuple[float, int]:
    """Download with curl; return the seconds and the peak memory in bytes."""
    started = time.perf_counter()
    process = subprocess.Popen(["curl", "--silent", "--fail", "-o", out / "stem", url])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("curl failed")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def in_child(kind: str, url: str, out: Path) -> tuple[float, int]:
    """Download with the SDK in its own process, without counting that process's start."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", kind, url, out], check=True, stdout=subprocess.PIPE
    )
    seconds, memory = json.loads(done.stdout)
    return seconds, memory


def child(kind: str, url: str, out: Path) -> None:
    """Download once and print the time and the peak memory."""
    stems = {"vocals": url}
    split = Split(id="split_1", status="succeeded", stems=stems)

    async def asynchronous() -> float:
        async with AsyncAiStemSplitter("ast_test_key") as client:
            started = time.perf_counter()
            await client.download_split(split, out)
            return time.perf_counter() - started

    if kind == "async":
        seconds = asyncio.run(asynchronous())
    else:
        with AiStemSplitter("ast_test_key") as client:
            started = time.perf_counter()
            client.download_split(split, out)
            seconds = time.perf_counter() - started
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main()
