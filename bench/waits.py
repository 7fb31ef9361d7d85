"""CPU time of 200 concurrent waits in the client, by polling and by the progress stream.

A server in its own process holds splits that do not end; with streams it sends progress of each
split every 5 s. The client's CPU time is measured after the first 15 s, in which the polls spread
out and slow down.

    python bench/waits.py
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import time
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection

from aistemsplitter import AsyncAiStemSplitter, WaitTimeout

START = 15.0  # seconds


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--waits", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    print(f"| {options.waits} waits | of one core | answers and events a second |")
    print("| --- | --- | --- |")
    for streams in (False, True):
        here, there = Pipe()
        server = get_context("spawn").Process(target=serve, args=(streams, there), daemon=True)
        server.start()
        url = here.recv()
        share = asyncio.run(measure(url, options.waits, options.seconds))
        here.send("how many")
        answered = here.recv() / (START + options.seconds)
        server.terminate()
        print(f"| by {'stream' if streams else 'polling'} | {share:.1%} | {answered:.0f} |")


async def measure(url: str, waits: int, seconds: float) -> float:
    """Return the share of one core that the waits use."""

    async def one(client: AsyncAiStemSplitter, index: int) -> None:
        with contextlib.suppress(WaitTimeout):
            await client.wait_for_split(f"split_{index}", timeout=START + seconds + 1)

    async with AsyncAiStemSplitter("ast_test_key", base_url=url) as client:
        waiting = [asyncio.create_task(one(client, index)) for index in range(waits)]
        await asyncio.sleep(START)
        busy, started = time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        share = (time.process_time() - busy) / (time.perf_counter() - started)
        await asyncio.gather(*waiting)
        return share


def serve(streams: bool, bench: Connection) -> None:
    """Answer every request for a split with one that is in progress."""
    answered = itertools.count()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split()[1].decode()
                if not path.endswith("/events"):
                    next(answered)
                    body = json.dumps({"success": True, "data": split(path.rpartition("/")[2], 0)})
                    writer.write(reply("200 OK", "application/json", body))
                elif streams:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                    for step in itertools.count():
                        next(answered)
                        data = json.dumps(split(path.split("/")[-2], step / 1000))
                        writer.write(f"id: {step}\ndata: {data}\n\n".encode())
                        await writer.drain()
                        await asyncio.sleep(5)
                else:
                    writer.write(reply("404 Not Found", "application/json", "{}"))
                await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1000)
        bench.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await asyncio.to_thread(bench.recv)
        bench.send(next(answered))
        await asyncio.Event().wait()  # to be ended

    asyncio.run(run())


def split(split_id: str, progress: float) -> dict[str, object]:
    """Return a split in progress as the API sends it."""
    times = dict.fromkeys(("createdAt", "updatedAt"), "2026-05-03T10:20:30.000Z")
    return {"id": split_id, "status": "processing", "progress": progress, **times, "error": None}


def reply(status: str, kind: str, body: str) -> bytes:
    """Return a complete response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


if __name__ == "__main__":
    main()
