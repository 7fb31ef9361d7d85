"""Short programs as new users write them, against the real service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aistemsplitter import AiStemSplitter
from ports import free_port
from real_service import RealService

STEMS = {"drums", "bass", "other", "vocals"}

# Each reads its settings from the environment; SONG_URL and BASE_URL are replaced.
HELLO = """
import requests
from aistemsplitter import AiStemSplitter

client = AiStemSplitter()
job = client.create_split(
    input={"type": "direct_url", "url": "SONG_URL"}, stem_model="htdemucs_ft"
)
result = client.wait_for_split(job.id)
for name, url in result.stems.items():
    with open(f"{name}.wav", "wb") as file:
        file.write(requests.get(url).content)
    print(name)
"""
TWIN = """
import asyncio
import httpx
from aistemsplitter import AsyncStemSplitter

async def main():
    async with AsyncStemSplitter() as client, httpx.AsyncClient() as http:
        job = await client.submit(audio_url="SONG_URL", model="htdemucs_ft")
        result = await client.wait(job.id)
        for name, url in result.stems.items():
            with open(f"{name}.wav", "wb") as file:
                file.write((await http.get(url)).content)
            print(name)

asyncio.run(main())
"""
PRESIGN = """
import httpx
from aistemsplitter import StemSplitter

client = StemSplitter()
upload = client.presign_upload("song.wav")
with open("song.wav", "rb") as file:
    SEND.raise_for_status()
result = client.wait(client.submit(audio_url=upload.audio_url).id)
print(*result.stems)
"""
SENDS = [
    'httpx.put(upload.upload_url, files={"file": file}, headers=upload.upload_headers)',
    'httpx.post(upload.upload_url, files={"file": file}, headers=upload.upload_headers)',
    'httpx.post(upload.upload_url, files={"file": file})',
    "httpx.put(upload.upload_url, content=file.read(), headers=upload.upload_headers)",
    'httpx.put(upload.direct.url, files={"file": file}, headers=upload.direct.headers)',
]
RAW = """
import os
import time
import httpx

key = os.environ["AISTEMSPLITTER_API_KEY"]
http = httpx.Client(base_url="BASE_URL/v1", headers={"Authorization": f"Bearer {key}"})
body = {"input": {"type": "direct_url", "url": "SONG_URL"}, "stemModel": "4s"}
split = http.post("/audio/splits", json=body).raise_for_status().json()["data"]
while split["status"] not in ("succeeded", "failed"):
    time.sleep(0.2)
    split = http.get(f"/audio/splits/{split['id']}").raise_for_status().json()["data"]
print(*split["stems"])
"""
SIX = """
from aistemsplitter import StemSplitter

client = StemSplitter()
job = client.submit(audio_url="SONG_URL", model="htdemucs_6s")
print(*client.wait(job.id).stems)
"""
FASTAPI = """
from fastapi import FastAPI, HTTPException, Request
from aistemsplitter import AiStemSplitter, InvalidWebhook

app = FastAPI()
client = AiStemSplitter()

@app.post("/webhooks")
async def webhook(request: Request):
    try:
        event = client.verify_webhook(request.headers, await request.body())
    except InvalidWebhook:
        raise HTTPException(400)
    if event.type == "split.succeeded":
        open(f"received-{event.data.id}", "w").write(" ".join(event.data["stems"]))
    return {"ok": True}
"""
FLASK = """
from flask import Flask, abort, request
from aistemsplitter import InvalidWebhook, verify_signature

app = Flask(__name__)

@app.post("/webhooks")
def webhook():
    try:
        event = verify_signature(request.headers, request.get_data())
    except InvalidWebhook:
        abort(400)
    if event.type == "split.succeeded":
        open(f"received-{event.data.id}", "w").write(" ".join(event.data.stems))
    return "", 204
"""


@pytest.fixture(scope="module")
def song_url(song: Path) -> Iterator[str]:
    """The URL of the song on another server."""
    handler = partial(_Quiet, directory=str(song.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{song.name}"
        server.shutdown()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def folder(song: Path, tmp_path: Path) -> Path:
    """The working folder, with a song in it."""
    (tmp_path / "song.wav").write_bytes(song.read_bytes())
    return tmp_path


def run(
    program: str, service: RealService, folder: Path, song_url: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a snippet as a script."""
    path = folder / "snippet.py"
    path.write_text(program.replace("SONG_URL", song_url).replace("BASE_URL", service.url))
    return subprocess.run(
        [sys.executable, str(path)],
        env=service.environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("program", [HELLO, TWIN], ids=["sync", "async"])
def test_hello_world(program: str, service: RealService, folder: Path, song_url: str) -> None:
    done = run(program, service, folder, song_url)
    assert {*done.stdout.split()} == STEMS, done.stderr
    for name in STEMS:
        assert (folder / f"{name}.wav").read_bytes()[:4] == b"RIFF"


@pytest.mark.parametrize("send", SENDS)
def test_presigned_uploads(send: str, service: RealService, folder: Path) -> None:
    done = run(PRESIGN.replace("SEND", send), service, folder)
    assert {*done.stdout.split()} == STEMS, done.stderr


def test_raw_httpx(service: RealService, folder: Path, song_url: str) -> None:
    done = run(RAW, service, folder, song_url)
    assert {*done.stdout.split()} == STEMS, done.stderr


def test_six_stems(service: RealService, folder: Path, song_url: str) -> None:
    """Demo mode has no substitute for the model with six stems: one clear error, no charge."""
    done = run(SIX, service, folder, song_url)
    assert re.search(r"ModelUnavailable: .*htdemucs_6s", done.stderr), done.stderr


COMMANDS = {
    "fastapi": (FASTAPI, ("uvicorn", "receiver:app", "--port")),
    "flask": (FLASK, ("flask", "--app", "receiver", "run", "--port")),
}


@pytest.mark.parametrize("framework", COMMANDS)
def test_receivers(framework: str, service: RealService, folder: Path, song_url: str) -> None:
    program, command = COMMANDS[framework]
    (folder / "receiver.py").write_text(program)
    port = free_port()
    log = folder / "log"
    with log.open("wb") as file:
        receiver = subprocess.Popen(
            [sys.executable, "-m", *command, str(port)],
            env={**service.environment, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            cwd=folder,
            stdout=file,
            stderr=file,
        )
        try:
            with AiStemSplitter(service.api_key, base_url=service.url) as client:
                url = f"http://127.0.0.1:{port}/webhooks"
                job = client.create_split(audio_url=song_url, webhook_url=url)
            received = folder / f"received-{job.id}"
            end = time.monotonic() + 180
            while not (received.exists() and received.read_text()):
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
        finally:
            receiver.terminate()
            receiver.wait(30)
    assert {*received.read_text().split()} == STEMS
