"""The processes' logs after using every feature contain no secret."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from customers import Customer, customer
from databases import only_sqlite
from peers import Peer, Request, answers
from processes import SONG, Service, ended, running, split, until, upload

DELIVERIES = "/v1/webhooks/deliveries"
HUSH = "hush-hush"  # a secret in every URL that a user provides


def lines(service: Service, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log(name).splitlines()]


def nonsense(_peer: Peer, connection: socket.socket, _request: Request) -> None:
    """Answer with something that is not HTTP."""
    connection.sendall(f"{HUSH}\r\n\r\n".encode())


def use_webhooks(client: httpx2.Client) -> list[str]:
    """Let deliveries fail in all ways and replay them; return the signatures that they carried."""
    inward = answers(302, HUSH.encode(), Location=f"http://127.0.0.1:9/{HUSH}")
    with Peer([answers(500, HUSH.encode()), inward, nonsense, answers(200)]) as receiver:
        unreachable = f"http://127.0.0.1:9/{HUSH}"
        for webhook in (
            f"{receiver.url}/{HUSH}?token={HUSH}",
            unreachable,
            f"http://10.0.0.1/{HUSH}",
        ):
            body = {"input": {"type": "direct_url", "url": unreachable}, "webhookUrl": webhook}
            ended(client, client.post("/v1/audio/splits", json=body).json()["data"]["id"])
        deliveries = client.get(DELIVERIES).json()["data"]["items"]
        (failing,) = (each["id"] for each in deliveries if receiver.url in each["url"])
        until(lambda: client.get(f"{DELIVERIES}/{failing}").json()["data"]["attempts"])
        for _ in range(3):
            assert client.post(f"{DELIVERIES}/{failing}/replay").status_code == 200
        until(lambda: client.get(f"{DELIVERIES}?state=delivered").json()["data"]["items"])
    return [mark for request in receiver.requests for mark in signatures(request)]


def signatures(delivery: Request) -> list[str]:
    """Return the signatures in the headers and in their URLs."""
    ours = delivery.header("AIStemSplitter-Signature").partition("v1=")[2]
    standard = delivery.header("webhook-signature").removeprefix("v1,")
    stems = json.loads(delivery.body)["data"].get("stems", {})
    return [ours, standard, *map(signature, stems.values())]


def signature(url: str) -> str:
    """Return the signature of one of our URLs."""
    return urlsplit(url).query.rpartition("=")[2]


def use_everything(client: httpx2.Client, peer: Peer) -> tuple[str, list[str]]:
    """Use every feature; return the id of a succeeded split, and every secret that occurred."""
    signed = use_webhooks(client)
    upload_id = upload(client)
    done = split(client, upload_id, webhookUrl=f"{peer.url}/{HUSH}?token={HUSH}")
    stems = ended(client, done)["stems"]
    signed += signatures(until(lambda: [one for one in peer.requests if one.body])[0])
    for url in stems.values():
        assert httpx2.get(url, trust_env=False, timeout=60).status_code == 200
        assert httpx2.get(url[:-1], trust_env=False, timeout=60).status_code == 403
    for url in (f"{peer.url}/{HUSH}.flac?key={HUSH}", f"http://127.0.0.1:9/{HUSH}?key={HUSH}"):
        body = {"input": {"type": "direct_url", "url": url}}
        ended(client, client.post("/v1/audio/splits", json=body).json()["data"]["id"])
    reserved = client.post(
        "/v1/audio/uploads",
        json={"filename": HUSH, "contentType": "audio/flac", "contentLength": 10},
    ).json()["data"]
    for content in (b"too long, much too long", b"short", b"not a song", b"once more."):
        client.put(reserved["uploadUrl"], content=content, headers=reserved["uploadHeaders"])
    for path in (f"/{HUSH}", f"/v1/audio/splits/{HUSH}", f"/storage/{HUSH}?signature={HUSH}"):
        client.get(path)
    client.get("/v1/credits", headers={"Authorization": f"Bearer ast_live_{HUSH}"})
    client.post("/v1/audio/splits", content=b'{"' + HUSH.encode())
    client.get(f"/v1/audio/splits/{done}/events")
    client.delete(f"/v1/audio/splits/{done}")
    signed += map(signature, [*stems.values(), reserved["uploadUrl"]])
    return done, [HUSH, *signed]


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    return customer(database, server_secrets, seconds=3600)


@only_sqlite  # the logs do not depend on the database
def test_the_logs_contain_no_secret(
    settings: Settings, database: Database, someone: Customer
) -> None:
    with running(settings) as service, Peer([answers(200, SONG.read_bytes())]) as peer:
        worker = service.start("worker")
        with service.api() as client:
            client.headers.update(someone.headers)
            done, secrets = use_everything(client, peer)
            with database.connection() as connection:  # a database error quotes its query
                connection.exec_driver_sql("ALTER TABLE api_keys RENAME TO elsewhere")
            assert client.get("/v1/credits").status_code == 503
        worker.terminate()
        worker.wait()
        logged = service.log("api") + service.log("worker")
        for secret in (someone.api_key, someone.webhook_secret, *secrets):
            assert len(secret) >= len(HUSH)
            assert secret not in logged

        requests = [line for line in lines(service, "api") if line["event"] == "request"]
        assert {"/v1/credits", "/uploads/{upload_id}", None} <= {line["route"] for line in requests}
        made = [line for line in requests if line["method"] == "POST" and line["split_id"] == done]
        assert made[0]["account_id"] == someone.caller.account_id
        fault = next(line for line in lines(service, "api") if line["level"] == "error")
        answered = next(line for line in requests if line["status"] == 503)
        assert fault["request_id"] == answered["request_id"]
        said = lines(service, "worker")
        assert any(done in json.dumps(line) for line in said)
        delivered = [line["event"] for line in said if line["event"].startswith("delivery dlv_")]
        for outcome in ("500", "302", "not HTTP", "200", "cannot be reached", "not allowed"):
            assert any(outcome in line.partition(": ")[2] for line in delivered), outcome
