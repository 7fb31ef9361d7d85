"""Suspended accounts: access is refused, and work in progress ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from aistemsplitter_server.accounts import people, standing
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import AccountSuspended, Conflict, Unauthorized
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.operations import closing, opening
from aistemsplitter_server.splits import fetches, service, sharing
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.webhooks import service as webhooks
from aistemsplitter_server.webhooks.tables import Delivery
from aistemsplitter_server.worker.attempt import Attempt
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import deliver
from customers import Customer, customer
from databases import only_sqlite
from visitors import Visitor, person

HOUR = timedelta(hours=1)
SPLITS = "/v1/audio/splits"
UPLOAD = {"filename": "a.flac", "contentType": "audio/flac", "contentLength": 4}


def suspend(database: Database, account_id: str) -> None:
    """Suspend an account as the operator's command does."""
    with database.write() as session:
        standing.suspend(session, account_id)
    closing.cancel_splits(database, account_id)


def resume(database: Database, account_id: str) -> None:
    """Resume an account as the operator's command does."""
    with database.write() as session:
        standing.resume(session, account_id)


def state(database: Database, split_id: str) -> tuple[str, str | None]:
    """Return a split's status and its error's code."""
    with database.read() as session:
        split = session.get_one(Split, split_id)
        return split.status, split.error_code


def code(answer: httpx2.Response) -> tuple[int, str]:
    """Return a response's status and its error's code."""
    return answer.status_code, answer.json()["error"]["code"]


def local(client: httpx2.Client, url: str) -> str:
    """Return a URL of the service with the port of this test's server."""
    return str(client.base_url).rstrip("/") + "/" + url.split("/", 3)[3]


def test_keys_urls_and_links_are_refused_until_the_account_is_resumed(
    client: httpx2.Client,
    someone: Customer,
    storage: Storage,
    server_secrets: Secrets,
) -> None:
    database, account_id = someone.database, someone.caller.account_id
    split = someone.finished(storage)
    with database.write() as session:
        link = sharing.token(server_secrets, sharing.share(session, server_secrets, split, HOUR))
    asked = client.get(f"{SPLITS}/{split.id}", headers=someone.headers).json()["data"]
    stem = local(client, asked["stems"]["vocals"])
    reserved = client.post("/v1/audio/uploads", json=UPLOAD, headers=someone.headers)
    upload = local(client, reserved.json()["data"]["uploadUrl"])
    assert client.get(stem).status_code == client.get(f"/shared/{link}").status_code == 200

    suspend(database, account_id)
    refused = client.get("/v1/credits", headers=someone.headers)
    assert code(refused) == (403, "ACCOUNT_SUSPENDED")
    assert code(client.get(stem)) == (403, "ACCOUNT_SUSPENDED")
    put = client.put(upload, content=b"song", headers={"Content-Type": "audio/flac"})
    assert code(put) == (403, "ACCOUNT_SUSPENDED")
    for page in (f"/shared/{link}", f"/shared/{link}/player.json", f"/shared/{link}/stems.zip"):
        assert client.get(page).status_code == 404
    wrong = {"Authorization": f"Bearer {someone.api_key[:-1]}"}
    assert code(client.get("/v1/credits", headers=wrong)) == (401, "UNAUTHORIZED")

    resume(database, account_id)
    assert client.get("/v1/credits", headers=someone.headers).status_code == 200
    assert client.get(stem).status_code == client.get(f"/shared/{link}").status_code == 200


def test_people_see_a_message(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    ada = person(database, server_secrets, "ada@example.org")
    visitor, another = Visitor(client), Visitor(client)
    visitor.sign_in(ada.email)
    with database.write() as session:
        link = people.link(session, server_secrets, ada.account_id)
    suspend(database, ada.account_id)
    page = visitor.get("/studio")
    assert page.status_code == 403
    assert "This account is suspended." in page.text
    sign_in = another.sign_in(ada.email)
    assert sign_in.status_code == 403
    assert "This account is suspended." in sign_in.text
    assert another.sign_in(ada.email, "a wrong password").status_code == 401
    assert another.get(f"/join/{link}").status_code == 403
    resume(database, ada.account_id)
    assert visitor.get("/studio").status_code == 200


def test_splits_end_and_are_refunded(context: WorkerContext, someone: Customer) -> None:
    database, account_id = someone.database, someone.caller.account_id
    queued, running = someone.split(20), someone.split(30)
    fetching = someone.fetch("https://example.com/song.mp3")
    with database.write() as session:
        begun = service.begin(session, running.id, "wrk_1")
        assert begun is not None
        fetches.begin(session, fetching, "wrk_1")
    attempt = Attempt(context, begun)
    assert not attempt.should_stop()
    with database.write() as session:
        standing.suspend(session, account_id)
    attempt._due = 0.0
    assert attempt.should_stop()  # also before its split is cancelled
    closing.finish(database, account_id)
    for split_id in (queued.id, running.id, fetching):
        assert state(database, split_id) == ("failed", "CANCELED")
    assert someone.balance == 600

    with pytest.raises(AccountSuspended):
        someone.split(20)  # in a request whose key was checked earlier
    assert someone.balance == 600
    resume(database, account_id)
    assert state(database, queued.id) == ("failed", "CANCELED")
    assert someone.split(20).status == "queued"


def test_a_split_that_is_not_cancelled_yet_does_not_start(someone: Customer) -> None:
    split = someone.split(20)
    with someone.database.write() as session:
        standing.suspend(session, someone.caller.account_id)
    with someone.database.write() as session:
        assert service.begin(session, split.id, "wrk_1") is None
    assert state(someone.database, split.id) == ("failed", "CANCELED")
    assert someone.balance == 600


def test_splits_of_an_active_account_are_not_cancelled(someone: Customer) -> None:
    split = someone.split()
    closing.cancel_splits(someone.database, someone.caller.account_id)
    assert state(someone.database, split.id) == ("queued", None)


def test_deliveries_fail_and_can_be_replayed(context: WorkerContext, someone: Customer) -> None:
    database, caller = someone.database, someone.caller
    with database.write() as session:
        sent, _ = webhooks.send_test(
            session, caller.account_id, caller.key_id, "https://example.com/", "split.failed"
        )
    suspend(database, caller.account_id)
    deliver(context, sent.id)
    with database.read() as session:
        delivery = session.get_one(Delivery, sent.id)
    assert (delivery.state, delivery.reason) == ("failed", webhooks.SUSPENDED)
    assert delivery.attempts == 0
    with database.write() as session:
        again, _ = webhooks.replay(session, caller.account_id, sent.id, is_test=None)
        assert again.state == "failed"
    resume(database, caller.account_id)
    with database.write() as session:
        again, _ = webhooks.replay(session, caller.account_id, sent.id, is_test=None)
        assert again.state == "pending"


def test_a_stream_ends(client: httpx2.Client, someone: Customer) -> None:
    split = someone.split()
    path = f"{SPLITS}/{split.id}/events"
    with client.stream("GET", path, headers=someone.headers, timeout=20) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("id: ")
        suspend(someone.database, someone.caller.account_id)
        assert "event: split" not in [*lines][3:]


@only_sqlite
def test_an_upload_ends(
    client: httpx2.Client,
    someone: Customer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(standing, "CHECK_EVERY", 0.0)
    size = 8 << 20
    body = {**UPLOAD, "contentLength": size}
    reserved = client.post("/v1/audio/uploads", json=body, headers=someone.headers).json()["data"]
    ended = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield bytes(size // 2)
        suspend(someone.database, someone.caller.account_id)
        for _ in range(size // 2 >> 16):
            if ended.is_set():
                return
            yield bytes(1 << 16)

    headers = {"Content-Type": "audio/flac", "Content-Length": str(size)}
    try:
        sent = client.put(local(client, reserved["uploadUrl"]), content=pieces(), headers=headers)
    except httpx2.TransportError:
        pass  # the connection may be closed before the response is read
    else:
        assert code(sent) == (403, "ACCOUNT_SUSPENDED")
    ended.set()
    assert not (settings.data / "storage" / keys.upload(reserved["uploadId"])).exists()


@only_sqlite
def test_a_download_ends(
    client: httpx2.Client,
    someone: Customer,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(standing, "CHECK_EVERY", 0.0)
    split, size = someone.finished(storage), 64 << 20
    draft = tmp_path / "draft"
    with draft.open("wb") as file:
        file.truncate(size)
    key = keys.stem(split.id, 1, "vocals", "wav")
    storage.put_file(key, draft)
    url = local(client, storage.url(key, expires_in=HOUR, filename="vocals.wav"))
    received = 0
    with client.stream("GET", url) as answer, suppress(httpx2.TransportError):
        for piece in answer.iter_bytes():
            if not received:
                suspend(someone.database, someone.caller.account_id)
            received += len(piece)
    assert 0 < received < size


def test_the_operators_own_account_cannot_be_suspended(database: Database) -> None:
    with database.write() as session:
        owner = opening.owner_account(session, "cli:tests", free_seconds=0).id
    for change in (standing.suspend, standing.start_deletion):
        with pytest.raises(Conflict), database.write() as session:
            change(session, owner)


def test_an_invalid_key_does_not_reveal_a_suspension(
    database: Database, server_secrets: Secrets
) -> None:
    someone = customer(database, server_secrets)
    suspend(database, someone.caller.account_id)
    with pytest.raises(AccountSuspended):
        accounts.identify(database, server_secrets, someone.api_key)
    other = customer(database, server_secrets).api_key
    with database.write() as session:
        session.execute(text("DELETE FROM api_keys WHERE account_id != 'none'"))
    with pytest.raises(Unauthorized):
        accounts.identify(database, server_secrets, other)
