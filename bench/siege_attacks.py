"""The five attackers of ``siege.py``, in their own process, limited in time and to loopback.

python bench/siege_attacks.py PORT SECONDS SCALE KEY KEY KEY
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import resource
import sys
import wave
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

HOST = "127.0.0.1"
ANSWERED: Counter[str] = Counter()  # by attack and status

Headers = dict[str, str]


async def main() -> None:
    """Attack until the time is over, then print each attack's responses by status."""
    port, seconds, scale = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    keys = sys.argv[4:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Connections that are open at the end are cut; that is no error of the attack.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    customers = await asyncio.start_server(_customer_server, HOST, 0)
    url = f"http://{HOST}:{customers.sockets[0].getsockname()[1]}"
    attacks = (
        slow_urls(port, keys[0], url, round(40 * scale)),
        webhook_flood(port, keys[1], url, round(300 * scale)),
        json_bombs(port, round(scale)),
        upload_flood(port, keys[2], round(4 * scale), round(120 * scale)),
        idle_sockets(port, round(1100 * scale)),
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*attacks)
            await asyncio.sleep(seconds)  # their connections stay open
    print(json.dumps(dict(sorted(ANSWERED.items()))), flush=True)


async def slow_urls(port: int, key: str, url: str, number: int) -> None:
    """Submit songs whose server sends a byte every ten seconds."""
    for index in range(number):
        await _split(port, key, "slow urls", f"{url}/drip/{index}.wav", None)


async def webhook_flood(port: int, key: str, url: str, number: int) -> None:
    """Create splits that fail without a charge and whose webhook is never answered."""
    for index in range(number):
        await _split(port, key, "webhooks", f"{url}/missing/{index}.wav", f"{url}/hang/{index}")


async def json_bombs(port: int, at_once: int) -> None:
    """Send bodies of repeated keys without an API key, as fast as they are answered."""
    bodies = [_repeated_keys(165_000), _repeated_keys(900_000)]

    async def one() -> None:
        while True:
            body = random.choice(bodies)
            status = await _request(port, "POST", "/v1/audio/splits", {}, body)
            ANSWERED[f"json bombs {status}"] += 1
            await asyncio.sleep(0.1)

    await asyncio.gather(*(one() for _ in range(at_once)))


async def upload_flood(port: int, key: str, uploads: int, splits: int) -> None:
    """Upload long songs, and submit each of them repeatedly before it is measured."""
    song = _noise(seconds=240)
    ids = []
    for _ in range(uploads):
        body = {"filename": "a.wav", "contentType": "audio/wav", "contentLength": len(song)}
        answer = await _api(port, "POST", "/v1/audio/uploads", key, body)
        if answer is None:
            ANSWERED["uploads refused"] += 1
            continue
        path = "/" + answer["uploadUrl"].split("/", 3)[3]
        headers = {**answer["uploadHeaders"], "Content-Type": "audio/wav"}
        status = await _request(port, "POST", path, headers, song)
        ANSWERED[f"uploads {status}"] += 1
        ids.append(answer["uploadId"])
        asked = [
            _split(port, key, "splits", None, None, upload_id=answer["uploadId"])
            for _ in range(max(1, splits // uploads))
        ]
        await asyncio.gather(*asked)


async def idle_sockets(port: int, number: int) -> None:
    """Open connections and send nothing; reopen those that are closed."""
    await asyncio.gather(*(_idle(port, delay=index / 500) for index in range(number)))


async def _idle(port: int, delay: float) -> None:
    await asyncio.sleep(delay)
    while True:
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            ANSWERED["idle sockets refused"] += 1
        else:
            ANSWERED["idle sockets opened"] += 1
            with suppress(OSError):
                await reader.read(1)
            writer.close()
        await asyncio.sleep(5)


async def _split(
    port: int,
    key: str,
    attack: str,
    url: str | None,
    webhook: str | None,
    *,
    upload_id: str | None = None,
) -> None:
    """Submit a split, and once more if the service responds that it has to wait."""
    source = (
        {"type": "direct_url", "url": url}
        if upload_id is None
        else {"type": "uploaded_file", "uploadId": upload_id}
    )
    body = {"input": source, "stemModel": "htdemucs_tiny"}
    if webhook is not None:
        body["webhookUrl"] = webhook
    for _ in range(2):
        status = await _request(
            port, "POST", "/v1/audio/splits", _bearer(key), json.dumps(body).encode()
        )
        ANSWERED[f"{attack} {status}"] += 1
        if status not in (429, 503):
            return
        await asyncio.sleep(1)


async def _api(port: int, method: str, path: str, key: str, body: object) -> dict | None:
    answer = io.BytesIO()
    status = await _request(port, method, path, _bearer(key), json.dumps(body).encode(), answer)
    return json.loads(answer.getvalue())["data"] if status == 200 else None


def _bearer(key: str) -> Headers:
    return {"Authorization": f"Bearer {key}"}


async def _request(
    port: int,
    method: str,
    path: str,
    headers: Headers,
    body: bytes,
    answer: io.BytesIO | None = None,
) -> int:
    """Send a request on its own connection; return its status, or 0 if there was no response."""
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                lines = {
                    "Host": HOST,
                    "Content-Type": "application/json",
                    "Content-Length": str(len(body)),
                    "Connection": "close",
                    **headers,
                }
                head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
                writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
                with suppress(ConnectionError):  # refused early; the response can be read
                    await writer.drain()
                status = int((await reader.readline()).split()[1])
                while (await reader.readline()).strip():
                    pass
                if answer is not None:
                    answer.write(await reader.read())
                return status
            finally:
                writer.close()
    except (OSError, TimeoutError, IndexError, ValueError):
        return 0


async def _customer_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve slow songs, missing songs, and webhooks that are never answered."""
    with suppress(OSError, IndexError):
        path = (await reader.readline()).split()[1].decode()
        answers: dict[str, Callable[[], Awaitable[None]]] = {
            "drip": partial(_drip, writer),
            "missing": partial(_missing, writer),
        }
        await answers.get(path.split("/")[1], partial(asyncio.sleep, 600))()
    writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    while True:
        writer.write(b"R")
        await writer.drain()
        await asyncio.sleep(10)


async def _missing(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


def _repeated_keys(size: int) -> bytes:
    """Return a JSON object of that many bytes whose last two names are the same."""
    names = [f'"{number:07}":0' for number in range(size // 12)]
    return ("{" + ",".join([*names, names[-1]]) + "}").encode()


def _noise(seconds: int) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(random.Random(1).randbytes(4 * 44100) * seconds)
    return target.getvalue()


if __name__ == "__main__":
    asyncio.run(main())
