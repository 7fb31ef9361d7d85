from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits import service, stream
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.uploads.tables import Upload
from customers import Customer, customer

SPLITS = "/v1/audio/splits"


@pytest.fixture
def theirs(client: httpx2.Client, someone: Customer) -> Iterator[httpx2.Client]:
    """A client with the customer's key."""
    client.headers.update(someone.headers)
    return client


def make(client: httpx2.Client, body: dict[str, Any], key: str | None = None) -> httpx2.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(SPLITS, json=body, headers=headers)


def error(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def count(database: Database) -> int:
    with database.read() as session:
        return session.query(Split).count()


def test_a_created_split(theirs: httpx2.Client, someone: Customer) -> None:
    upload = someone.upload(20.2)
    answer = make(theirs, someone.request(upload, metadata={"order": "7"}))
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert list(data) == ["id", "status", "creditsUsed", "createdAt"]
    assert (data["status"], data["creditsUsed"]) == ("queued", 21)
    shown = theirs.get(f"{SPLITS}/{data['id']}")
    assert list(shown.json()["data"]) == [
        *("id", "status", "stemModel", "filename", "durationSeconds", "creditsUsed"),
        *("createdAt", "updatedAt", "error", "progress", "queuePosition", "outputFormat"),
        *("sampleRate", "expiresAt", "servedBy", "analysis", "options", "warnings", "metadata"),
    ]
    split = shown.json()["data"]
    assert split["durationSeconds"] == 21
    assert split["queuePosition"] == 0
    assert split["metadata"] == {"order": "7"}
    assert split["error"] is None


def test_options_are_charged_and_shown(theirs: httpx2.Client, someone: Customer) -> None:
    options = {"bitDepth": 24, "normalize": "mixture-loudness", "shifts": 2, "overlap": 0.5}
    request = someone.request(someone.upload(20.2), options=options, stems=["no_drums", "residual"])
    data = make(theirs, request).json()["data"]
    assert data["creditsUsed"] == 61  # 20.2 s, twice, with 1.5 times as many segments
    assert theirs.get(f"{SPLITS}/{data['id']}").json()["data"]["options"] == options


def test_stems_of_a_succeeded_split(theirs: httpx2.Client, someone: Customer) -> None:
    split = someone.split()
    with someone.database.write() as session:
        service.begin(session, split.id, "wrk_1")
        service.succeed(
            session, split.id, 1, sample_rate=48000, warnings=[], retention=timedelta(hours=1)
        )
    data = theirs.get(f"{SPLITS}/{split.id}").json()["data"]
    assert list(data["stems"]) == ["drums", "bass", "other", "vocals"]
    assert f"/storage/splits/{split.id}/1/vocals.wav?" in data["stems"]["vocals"]
    assert list(data).index("stems") == list(data).index("error") - 1
    assert data["expiresAt"] is not None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"stemModel": "htdemucs_7s"}, "stemModel"),
        ({"stems": ["guitar"]}, "stems"),
        ({"stems": []}, "stems"),
        ({"stems": ["vocals", "vocals"]}, "stems"),
        ({"stems": "vocals"}, "stems"),
        ({"outputFormat": "wma"}, "outputFormat"),
        ({"options": {"bitDepth": 8}}, "options.bitDepth"),
        ({"options": {"bitrate": 128}}, "options.bitrate"),
        ({"input": {}}, "input"),
        ({"input": {"type": "direct_url", "url": "ftp://x/y"}}, "input.url"),
        (
            {"input": {"type": "direct_url", "url": "http://a", "uploadId": "upl_1"}},
            "input.uploadId",
        ),
        ({"input": {"type": "uploaded_file"}}, "input.uploadId"),
        ({"webhookUrl": "javascript:alert(1)"}, "webhookUrl"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"surprise": 1}, "surprise"),
        ({"priority": "vip"}, "priority"),
    ],
)
def test_invalid_fields_are_named(
    theirs: httpx2.Client, someone: Customer, change: dict[str, Any], field: str
) -> None:
    answer = make(theirs, someone.request(someone.upload(), **change))
    assert error(answer) == (422, "VALIDATION_ERROR")
    (fault,) = answer.json()["error"]["details"]
    assert fault["field"] == field
    assert answer.json()["error"]["message"] == f"{field}: {fault['message']}"
    assert not fault["message"].startswith("Value error")
    assert count(someone.database) == 0


def test_no_input(theirs: httpx2.Client) -> None:
    assert error(make(theirs, {})) == (422, "VALIDATION_ERROR")


def test_credits(theirs: httpx2.Client, someone: Customer) -> None:
    answer = make(theirs, someone.request(someone.upload(601)))
    assert error(answer) == (402, "INSUFFICIENT_CREDITS")
    assert answer.json()["error"]["requiredSeconds"] == 601
    assert answer.json()["error"]["balanceSeconds"] == 600
    assert count(someone.database) == 0


def test_unknown_models(theirs: httpx2.Client, someone: Customer) -> None:
    answer = make(theirs, someone.request(someone.upload(), stemModel="4s"))
    assert error(answer) == (409, "MODEL_UNAVAILABLE")
    assert "models install htdemucs_ft" in answer.json()["error"]["message"]
    assert someone.balance == 600


def test_test_keys(client: httpx2.Client, database: Database, server_secrets: Secrets) -> None:
    someone = customer(database, server_secrets, test=True)
    client.headers.update(someone.headers)
    answer = make(client, someone.request(someone.upload(900), stemModel="htdemucs_ft"))
    assert answer.json()["data"]["creditsUsed"] == 0
    assert someone.balance == 600
    shown = client.get(f"{SPLITS}/{answer.json()['data']['id']}").json()["data"]
    assert shown["servedBy"] == "htdemucs_tiny"
    assert "test key" in shown["warnings"][0]
    assert error(make(client, someone.request(someone.upload(), stemModel="6s"))) == (
        409,
        "MODEL_UNAVAILABLE",
    )


def test_a_repeated_idempotency_key(theirs: httpx2.Client, someone: Customer) -> None:
    body = someone.request(someone.upload())
    first = make(theirs, body, "key-1")
    assert "idempotency-replayed" not in first.headers
    again = make(theirs, body, "key-1")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.text == first.text
    assert someone.balance == 580
    other = make(theirs, {**body, "outputFormat": "flac"}, "key-1")
    assert error(other) == (422, "IDEMPOTENCY_MISMATCH")
    assert error(make(theirs, body, "x" * 256)) == (422, "VALIDATION_ERROR")


def test_a_failure_is_not_stored_for_its_idempotency_key(
    theirs: httpx2.Client, someone: Customer
) -> None:
    body = someone.request(someone.upload(), stemModel="htdemucs")
    assert error(make(theirs, body, "key-1")) == (409, "MODEL_UNAVAILABLE")
    assert make(theirs, {**body, "stemModel": "htdemucs_tiny"}, "key-1").status_code == 200


def test_simultaneous_requests_with_the_same_idempotency_key(
    theirs: httpx2.Client, someone: Customer
) -> None:
    body = someone.request(someone.upload())
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: make(theirs, body, "key-1"), range(16)))
    good = {answer.json()["data"]["id"] for answer in answers if answer.status_code == 200}
    assert len(good) == 1
    bad = [answer for answer in answers if answer.status_code != 200]
    assert all(error(answer) == (409, "IDEMPOTENCY_IN_PROGRESS") for answer in bad)
    assert all("retry-after" in answer.headers for answer in bad)
    assert count(someone.database) == 1
    assert someone.balance == 580


def test_pages_while_rows_are_added(theirs: httpx2.Client, someone: Customer) -> None:
    there = [someone.split(1).id for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = theirs.get(SPLITS, params=params).json()["data"]
        seen += [item["id"] for item in page["items"]]
        someone.split(1)
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == sorted(there, reverse=True)


def test_the_list_by_status(theirs: httpx2.Client, someone: Customer) -> None:
    split = someone.split()
    queued = theirs.get(SPLITS, params={"status": "queued"}).json()["data"]["items"]
    assert [item["id"] for item in queued] == [split.id]
    assert theirs.get(SPLITS, params={"status": "failed"}).json()["data"]["items"] == []
    for wrong in ({"status": "new"}, {"limit": 0}, {"limit": 101}, {"cursor": "x"}):
        assert error(theirs.get(SPLITS, params=wrong)) == (422, "VALIDATION_ERROR")


def test_the_list_by_time_model_and_metadata(theirs: httpx2.Client, someone: Customer) -> None:
    odd = 'a"b]=ü'
    body = someone.request(someone.upload(), metadata={"order": "1001", odd: "x y"})
    first = make(theirs, {**body, "stemModel": "htdemucs_tiny"}).json()["data"]
    second = someone.split().id

    def found(**params: str) -> list[str]:
        answer = theirs.get(SPLITS, params=params)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["data"]["items"]]

    assert found(**{"metadata[order]": "1001", f"metadata[{odd}]": "x y"}) == [first["id"]]
    assert found(**{"metadata[order]": "1001", f"metadata[{odd}]": "x"}) == []
    assert found(model="htdemucs_tiny", status="queued") == [second, first["id"]]
    assert found(model="htdemucs") == []
    at = first["createdAt"]
    assert found(createdBefore=at) == []
    assert found(createdAfter=at, createdBefore="9999-12-31T23:59:59-14:00") == [
        second,
        first["id"],
    ]
    assert found(createdAfter="0001-01-01T00:00:00+14:00", **{"metadata[order]": "1"}) == []
    many = {f"metadata[{number}]": "" for number in range(11)}
    for wrong in (
        {"createdAfter": "2026-05-03T10:20:30"},
        {"createdBefore": "soon"},
        {"model": "x"},
        {"metadata[a]": "\0"},
        many,
    ):
        assert error(theirs.get(SPLITS, params=wrong)) == (422, "VALIDATION_ERROR"), wrong


def test_cancelled_and_deleted(theirs: httpx2.Client, someone: Customer) -> None:
    split = someone.split()
    answer = theirs.post(f"{SPLITS}/{split.id}/cancel")
    assert answer.json()["data"]["error"]["code"] == "CANCELED"
    assert someone.balance == 600
    assert error(theirs.post(f"{SPLITS}/{split.id}/cancel")) == (409, "CONFLICT")
    gone = theirs.delete(f"{SPLITS}/{split.id}")
    assert gone.json()["data"] == {"id": split.id, "deleted": True, "audioDeleted": True}
    assert error(theirs.get(f"{SPLITS}/{split.id}")) == (404, "NOT_FOUND")
    assert error(theirs.delete(f"{SPLITS}/{split.id}")) == (404, "NOT_FOUND")
    assert theirs.get(SPLITS).json()["data"]["items"] == []


def test_the_upload_is_deleted_with_its_last_split(
    theirs: httpx2.Client, someone: Customer
) -> None:
    upload = someone.upload()
    one, other = (make(theirs, someone.request(upload)).json()["data"]["id"] for _ in range(2))
    theirs.delete(f"{SPLITS}/{one}")
    with someone.database.read() as session:
        assert session.get_one(Upload, upload.id).expires_at == upload.expires_at
    theirs.delete(f"{SPLITS}/{other}")
    with someone.database.read() as session:
        assert session.get_one(Upload, upload.id).expires_at <= times.now()


def test_an_event_stream_ends_when_the_key_is_revoked(
    theirs: httpx2.Client, someone: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.1)
    split = someone.split()
    with theirs.stream("GET", f"{SPLITS}/{split.id}/events", timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("id: ")
        with someone.database.write() as session:
            accounts.revoke_key(session, someone.caller.account_id, someone.caller.key_id)
        assert "data: " not in "".join(list(lines)[2:])
    assert theirs.get(f"{SPLITS}/{split.id}").status_code == 401


def test_progress_as_server_sent_events(theirs: httpx2.Client, someone: Customer) -> None:
    split = someone.split()
    events: list[tuple[str, dict[str, Any]]] = []
    with theirs.stream("GET", f"{SPLITS}/{split.id}/events", timeout=20) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        number = ""
        for line in stream.iter_lines():
            if line.startswith("id: "):
                number = line[4:]
            if line.startswith("data: "):
                events.append((number, json.loads(line[6:])))
                with someone.database.write() as session:
                    if len(events) == 1:
                        service.begin(session, split.id, "wrk_1")
                    elif len(events) == 2:
                        service.cancel(session, session.get_one(Split, split.id))
    assert [split["status"] for _, split in events] == ["queued", "processing", "failed"]
    assert len({number for number, _ in events}) == 3
    last = events[-1][0]
    again = theirs.get(f"{SPLITS}/{split.id}/events", headers={"Last-Event-ID": last})
    assert '"CANCELED"' in again.text


def test_scopes(client: httpx2.Client, database: Database, server_secrets: Secrets) -> None:
    reader = customer(database, server_secrets, allowed=(Scope.SPLITS_READ,))
    split = reader.split()
    client.headers.update(reader.headers)
    assert client.get(f"{SPLITS}/{split.id}").status_code == 200
    assert error(client.post(f"{SPLITS}/{split.id}/cancel")) == (403, "FORBIDDEN")
    assert error(make(client, reader.request(reader.upload()))) == (403, "FORBIDDEN")


def test_priority_by_key(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    someone = customer(database, server_secrets)
    with database.write() as session:
        from aistemsplitter_server.accounts.tables import ApiKey

        session.get_one(ApiKey, someone.caller.key_id).top_priority = "batch"
    client.headers.update(someone.headers)
    body = someone.request(someone.upload())
    assert error(make(client, {**body, "priority": "interactive"})) == (403, "FORBIDDEN")
    assert make(client, body).status_code == 200
