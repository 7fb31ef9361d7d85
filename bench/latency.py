"""Latency from the end of an upload to the stems, and from a cancellation to the next split.

The service runs as users run it (`up --demo --offline`) and splits a song of 30 s; beside it, the
engine alone splits the same song with a loaded model. The difference between the two is the
service's own overhead. Then songs of ten minutes are cancelled while they are being separated.

    python bench/latency.py
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from aistemsplitter_engine import Separator
from aistemsplitter_engine.audio import AudioFile

SECONDS, LONG = 30, 600
ROUNDS = 5
MODEL = "htdemucs_tiny"
SAMPLE = Path(__file__).parents[1] / "songs" / "sample" / "mixture.flac"
PORT = 8765


def main() -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        song, long = Path(folder) / "song.wav", Path(folder) / "long.wav"
        _write(song, SECONDS)
        _write(long, LONG)
        alone = _engine(song, Path(folder) / "stems")
        whole, cancelled = _service(song, long, Path(folder) / "data")
    print(f"A song of {SECONDS} s with {MODEL}, median of {ROUNDS} rounds, seconds")
    print(f"| from the end of the upload to `succeeded` | {whole:.2f} |")
    print(f"| the engine alone, file to files           | {alone:.2f} |")
    print(f"| the service's own overhead                | {whole - alone:.2f} |")
    print(f"| from cancelling a song of {LONG // 60} min to the start of the next: ", end="")
    print(", ".join(f"{seconds:.2f}" for seconds in cancelled), "|")


def _write(path: Path, seconds: int) -> None:
    sample = AudioFile(SAMPLE)
    audio = np.concatenate(list(sample.blocks()), axis=1)
    frames = seconds * sample.sample_rate
    audio = np.tile(audio, -(-frames // audio.shape[1]))[:, :frames]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(sample.sample_rate)
        file.writeframes((audio.T * 32767).clip(-32768, 32767).astype("<i2").tobytes())


def _engine(song: Path, folder: Path) -> float:
    separator = Separator(MODEL)
    separator.split(song, folder)  # loads the model
    return statistics.median(separator.split(song, folder).elapsed for _ in range(ROUNDS))


def _service(song: Path, long: Path, data: Path) -> tuple[float, list[float]]:
    command = [sys.executable, "-m", "aistemsplitter_server", "up", "--demo", "--offline"]
    process = subprocess.Popen(
        [*command, "--data", str(data), "--port", str(PORT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "AISTEMSPLITTER_SERVER_FREE_MINUTES": "1000",
        },
    )
    try:
        assert process.stdout is not None
        key = next(
            found[0] for line in process.stdout if (found := re.search(r"ast_live_\w+", line))
        )
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{PORT}/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        ) as client:
            _wait_for(client)
            _split(client, song)  # loads the model
            whole = statistics.median(_split(client, song) for _ in range(ROUNDS))
            return whole, [_cancel(client, long, song) for _ in range(ROUNDS)]
    finally:
        process.terminate()
        process.wait()


def _wait_for(client: httpx2.Client) -> None:
    while True:
        try:
            if client.get("/../readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)


def _split(client: httpx2.Client, song: Path) -> float:
    """Return the seconds from the upload's end, with its response, to the end of the split."""
    upload, sent = _upload(client, song)
    _until(client, _queue(client, upload), "succeeded")
    return time.monotonic() - sent


def _cancel(client: httpx2.Client, song: Path, waiting: Path) -> float:
    """Return the seconds from cancelling a running split to the start of the next one."""
    running = _queue(client, _upload(client, song)[0])
    next_one = _queue(client, _upload(client, waiting)[0])
    while _data(client.get(f"/audio/splits/{running}"))["progress"] < 0.05:
        time.sleep(0.1)
    began = time.monotonic()
    client.post(f"/audio/splits/{running}/cancel").raise_for_status()
    _until(client, next_one, "processing")
    return time.monotonic() - began


def _upload(client: httpx2.Client, song: Path) -> tuple[str, float]:
    """Upload a song; return its id and the time at which its last byte was sent."""
    body = song.read_bytes()
    reserved = _data(
        client.post(
            "/audio/uploads",
            json={"filename": song.name, "contentType": "audio/wav", "contentLength": len(body)},
        )
    )
    time.sleep(1)  # as a real upload would take

    began = 0.0

    def sent() -> Iterator[bytes]:
        nonlocal began
        yield body
        began = time.monotonic()

    client.post(
        reserved["uploadUrl"],
        content=sent(),
        headers={**reserved["uploadHeaders"], "Content-Length": str(len(body))},
    ).raise_for_status()
    return reserved["uploadId"], began


def _queue(client: httpx2.Client, upload: str) -> str:
    source = {"type": "uploaded_file", "uploadId": upload}
    job = _data(client.post("/audio/splits", json={"input": source, "stemModel": MODEL}))
    return str(job["id"])


def _until(client: httpx2.Client, split: str, status: str) -> None:
    with client.stream("GET", f"/audio/splits/{split}/events") as events:
        for line in events.iter_lines():
            if f'"status":"{status}"' in line:
                return
    raise RuntimeError(f"the split {split} was never {status}")


def _data(answer: httpx2.Response) -> Any:
    answer.raise_for_status()
    return answer.json()["data"]


if __name__ == "__main__":
    main()
