"""A worker process: separating, cancelling, killing, stalling and recovering."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

import aistemsplitter
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits.tables import Split
from customers import Customer, customer
from databases import only_postgres, only_sqlite
from holding import holder
from peers import Peer, answers, drips
from processes import PATIENCE, SONG, Service, ended, split, state, until, upload


def progress(client: httpx2.Client, split_id: str) -> float:
    found: float = state(client, split_id)["progress"]
    return found


def saved(client: httpx2.Client, service: Service, split_id: str) -> float:
    """Wait until a fifth is separated and on disk, which takes seconds; return the progress."""
    work = service.settings.data / "work" / split_id / "stems" / ".aistemsplitter"

    def reached() -> float | None:
        done = progress(client, split_id)
        return done if done > 0.2 and (work / "journal.json").exists() else None

    return until(reached)


def test_a_song_becomes_stems(client: httpx2.Client, service: Service, someone: Customer) -> None:
    service.start("worker")
    split_id = split(client, upload(client), stems=["vocals", "instrumental"])
    final = ended(client, split_id)
    assert final["status"] == "succeeded", final
    assert final["creditsUsed"] == final["durationSeconds"] == 20
    assert someone.balance == 3580
    assert list(final["stems"]) == ["vocals", "instrumental"]
    for url in final["stems"].values():
        with wave.open(io.BytesIO(httpx2.get(url, trust_env=False, timeout=60).content)) as stem:
            assert (stem.getnframes(), stem.getframerate()) == (20 * 44100, 44100)
    assert list((service.settings.data / "work").iterdir()) == []
    beats = client.get(f"/v1/audio/splits/{split_id}/beats").json()["data"]
    assert final["analysis"]["bpm"] == beats["bpm"]
    assert final["analysis"]["firstDownbeat"] in beats["beats"]


def test_a_url(client: httpx2.Client, service: Service) -> None:
    service.start("worker")
    with Peer([answers(200, SONG.read_bytes())]) as peer:
        body = {"input": {"type": "direct_url", "url": f"{peer.url}/a/My%20Song.flac?key=1"}}
        split_id = client.post("/v1/audio/splits", json=body).json()["data"]["id"]
        final = ended(client, split_id)
    assert final["status"] == "succeeded", final
    assert final["filename"] == "My Song.flac"
    assert final["creditsUsed"] == 20
    assert (final["stemModel"], final["servedBy"]) == ("htdemucs_ft", "htdemucs_tiny")
    assert final["warnings"]


def test_urls_that_fail(client: httpx2.Client, service: Service, someone: Customer) -> None:
    service.start("worker")
    html = b"<!doctype html><title>not a song</title>"
    inward = answers(302, Location="http://169.254.169.254/latest")
    endless = drips(b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 65536)
    claims = b"HTTP/1.1 200 OK\r\nContent-Length: 107374182400\r\n\r\n"
    with (
        Peer([answers(200, html)]) as page,
        Peer([answers(404)]) as nothing,
        Peer([inward]) as redirects,
        Peer([drips(claims, b"\0")]) as hundred_gigabytes,
        Peer([endless]) as never_ends,
    ):
        wanted = {
            page.url: "UNSUPPORTED_MEDIA",
            nothing.url: "INPUT_UNREACHABLE",
            redirects.url: "INPUT_FORBIDDEN",
            "http://10.0.0.1/song.wav": "INPUT_FORBIDDEN",
            hundred_gigabytes.url: "INPUT_TOO_LARGE",
        }
        made = {}
        for url in [*wanted, never_ends.url]:
            body = {"input": {"type": "direct_url", "url": url}}
            made[url] = client.post("/v1/audio/splits", json=body).json()["data"]["id"]
        for url, code in wanted.items():
            final = ended(client, made[url])
            assert (final["status"], final["error"]["code"]) == ("failed", code), url
            assert final["creditsUsed"] == 0
            assert str(service.settings.data) not in final["error"]["message"]
        client.post(f"/v1/audio/splits/{made[never_ends.url]}/cancel")
        until(lambda: not any((service.settings.data / "work").iterdir()))
    assert someone.balance == 3600


def test_urls_that_exceed_the_credits(
    client: httpx2.Client, service: Service, database: Database, server_secrets: Secrets
) -> None:
    someone = customer(database, server_secrets, seconds=60)
    client.headers.update(someone.headers)
    service.start("worker")
    with Peer([answers(200, SONG.read_bytes())]) as peer:
        made = []
        for _ in range(4):
            body = {"input": {"type": "direct_url", "url": peer.url}}
            made.append(client.post("/v1/audio/splits", json=body).json()["data"]["id"])
        # It is undefined which one is refused: the last that is measured.
        states = until(lambda: all_known([state(client, split_id) for split_id in made]))
    broke = [each["error"]["code"] for each in states if each["error"]]
    assert broke == ["INSUFFICIENT_CREDITS"]
    assert someone.balance == 0


def all_known(splits: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the splits once each is charged or has failed."""
    return splits if all(each["creditsUsed"] or each["error"] for each in splits) else None


def test_cancelled_during_separation(
    client: httpx2.Client, service: Service, long_song: Path
) -> None:
    service.start("worker")
    split_id = split(client, upload(client, long_song))
    until(lambda: progress(client, split_id) > 0)
    canceled = client.post(f"/v1/audio/splits/{split_id}/cancel").json()["data"]
    assert canceled["error"]["code"] == "CANCELED"
    assert ended(client, split(client, upload(client)))["status"] == "succeeded"
    until(lambda: len(outcomes(service)) == 2)
    assert outcomes(service) == [
        "stopped",
        "done",
    ]  # stopped early, not after a useless complete run
    until(lambda: not any((service.settings.data / "work").iterdir()))


def test_a_killed_workers_split_is_resumed(
    client: httpx2.Client, service: Service, someone: Customer, long_song: Path
) -> None:
    worker = service.start("worker")
    split_id = split(client, upload(client, long_song))
    reached = saved(client, service, split_id)
    worker.kill()
    worker.wait()
    service.start("worker")
    until(lambda: state(client, split_id)["status"] == "processing" and progress(client, split_id))
    assert progress(client, split_id) > reached / 2, "the separation started over"
    final = ended(client, split_id)
    assert final["status"] == "succeeded", final
    assert someone.balance == 3420
    assert (
        len(httpx2.get(final["stems"]["drums"], trust_env=False, timeout=60).content) > 30_000_000
    )


def test_a_terminated_worker_requeues_its_split(
    client: httpx2.Client, service: Service, someone: Customer, long_song: Path
) -> None:
    worker = service.start("worker")
    split_id = split(client, upload(client, long_song))
    until(lambda: progress(client, split_id) > 0)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    assert state(client, split_id)["status"] == "queued"
    with someone.database.read() as session:
        assert session.get_one(Split, split_id).failures == 0
    service.start("worker")
    assert ended(client, split_id)["status"] == "succeeded"


@contextmanager
def stopped(worker: subprocess.Popen[bytes]) -> Iterator[list[psutil.Process]]:
    """Stop a worker and its children, and continue the remaining ones at the end of the block."""
    process = psutil.Process(worker.pid)
    family = [process, *process.children(recursive=True)]
    for member in family:
        member.suspend()
    try:
        yield family
    finally:
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.resume()


def test_a_stalled_worker_is_killed(
    client: httpx2.Client, service: Service, someone: Customer, long_song: Path
) -> None:
    worker = service.start("worker")
    split_id = split(client, upload(client, long_song))
    reached = saved(client, service, split_id)
    with stopped(worker) as family:
        service.start("worker")
        assert worker.wait(PATIENCE) == -signal.SIGKILL
        until(lambda: not any(map(_runs, family)))
    until(lambda: attempt(someone, split_id) == 2)
    overtaken = until(lambda: progress(client, split_id))
    assert overtaken > reached / 2, "the separation started over"
    ended_after(client, split_id)
    assert until(lambda: outcomes(service)) == ["done"]
    assert someone.balance == 3420


@only_sqlite
@pytest.mark.parametrize("command", [("worker",), ("api", "--port", "0")])
def test_a_process_that_starts_kills_one_that_holds_the_write_lock(
    service: Service, someone: Customer, command: tuple[str, ...]
) -> None:
    installation.start(service.settings, someone.database)  # which writes the first time
    with holder(service.settings.data) as (process, child):
        process.suspend()
        child.suspend()
        started = service.start(*command)
        assert process.wait(PATIENCE) == -signal.SIGKILL
        ready = "is ready" if command == ("worker",) else "Uvicorn running"
        until(lambda: ready in service.log(command[0]))
        assert started.poll() is None


@only_postgres
def test_a_stalled_worker_on_another_machine_is_overtaken(
    client: httpx2.Client, service: Service, someone: Customer, long_song: Path
) -> None:
    worker = service.start("worker")
    split_id = split(client, upload(client, long_song))
    reached = saved(client, service, split_id)
    with stopped(worker):
        (heartbeat,) = (service.settings.data / "processes").glob("wrk_*.lock")
        heartbeat.write_text(json.dumps({"machine": "elsewhere", "pid": worker.pid, "count": 1}))
        service.start("worker")
        until(lambda: attempt(someone, split_id) == 2)
        overtaken = until(lambda: progress(client, split_id))
        assert overtaken > reached / 2, "the separation started over"
        final = ended_after(client, split_id)
    until(lambda: len(outcomes(service)) == 2)
    assert outcomes(service) == ["done", "stopped"]
    assert state(client, split_id)["stems"].keys() == final["stems"].keys()
    with someone.database.read() as session:
        row = session.get_one(Split, split_id)
        assert (row.status, row.stored_attempt, row.attempt) == ("succeeded", 2, 2)
    assert someone.balance == 3420


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def attempt(someone: Customer, split_id: str) -> int:
    with someone.database.read() as session:
        return session.get_one(Split, split_id).attempt


def outcomes(service: Service) -> list[str]:
    lines = map(json.loads, service.log().splitlines())
    return [line["outcome"] for line in lines if line["event"] == "attempt"]


def ended_after(client: httpx2.Client, split_id: str) -> dict[str, dict[str, str]]:
    return until(lambda: (final := state(client, split_id))["status"] == "succeeded" and final)


def test_a_file_that_is_no_audio(client: httpx2.Client, tmp_path: Path, someone: Customer) -> None:
    text = tmp_path / "song.wav"
    text.write_text("#EXTM3U\nfile:///etc/passwd\n")
    source = {"type": "uploaded_file", "uploadId": upload(client, text)}
    answer = client.post("/v1/audio/splits", json={"input": source})
    assert answer.status_code == 422
    assert "song.wav: is not audio" in answer.json()["error"]["message"]
    assert someone.balance == 3600


def test_the_song_was_deleted(client: httpx2.Client, service: Service, someone: Customer) -> None:
    upload_id = upload(client)
    split_id = split(client, upload_id)
    (service.settings.data / "storage" / "uploads" / upload_id).unlink()
    service.start("worker")
    final = ended(client, split_id)
    assert final["error"]["code"] == "INPUT_UNREACHABLE"
    assert someone.balance == 3600


def test_a_webhook(client: httpx2.Client, service: Service, someone: Customer) -> None:
    with Peer([answers(503), answers(200)]) as receiver:
        service.start("worker")
        split_id = split(client, upload(client), webhookUrl=f"{receiver.url}/hook")
        until(lambda: len(receiver.requests) == 2)
    first, second = receiver.requests
    for request in (first, second):
        event = aistemsplitter.verify_signature(
            dict(request.headers), request.body, someone.webhook_secret
        )
        assert (event.type, event.data.id) == ("split.succeeded", split_id)
    assert json.loads(first.body)["id"] == json.loads(second.body)["id"]
    url = event.data.stems["vocals"]
    assert (
        httpx2.get(url.replace(":8000", f":{client.base_url.port}"), timeout=60).content[:4]
        == b"RIFF"
    )
