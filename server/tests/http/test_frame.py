from __future__ import annotations

import logging
import time
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from beating import beat
from customers import customer
from databases import only_sqlite
from scraping import scraped

pytestmark = only_sqlite  # these tests hardly use the database

FRAME = "aistemsplitter_server.http.frame"


def lines(caplog: pytest.LogCaptureFixture, number: int) -> list[dict[str, Any]]:
    """Return that many log lines; each is written right after its response."""
    found: list[dict[str, Any]] = []
    while len(found) < number:
        time.sleep(0.01)
        found = [vars(record) for record in caplog.records if record.name == FRAME]
    return found


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, FRAME)


def test_one_log_line_per_request(
    client: httpx2.Client,
    database: Database,
    server_secrets: Secrets,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mine = customer(database, server_secrets)
    client.get("/v1/credits?signature=hidden", headers=mine.headers)
    client.get("/storage/splits/a?signature=hidden")
    client.get("/a/hidden/path")
    client.get("/v1/test/fault")
    logged = [(line["method"], line["route"], line["status"]) for line in lines(caplog, 4)]
    assert logged == [
        ("GET", "/v1/credits", 200),
        ("GET", "/storage/{key:path}", 403),
        ("GET", None, 404),
        ("GET", "/v1/test/fault", 500),
    ]
    first, second = lines(caplog, 4)[:2]
    assert first["key_id"] == mine.caller.key_id
    assert first["account_id"].startswith("acc_")
    assert second["account_id"] is None
    assert 0 <= first["seconds"] < 60
    assert "hidden" not in str(lines(caplog, 4))


def test_lines_of_objects_and_uploads_have_their_ids(
    client: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    split_id, upload_id = ids.new("split"), ids.new("upl")
    client.get(f"/storage/splits/{split_id}/1/vocals.wav?signature=x")
    client.get(f"/storage/uploads/{upload_id}?signature=x")
    client.get(f"/uploads/{upload_id}")
    client.get("/storage/splits/made-up-by-the-client")
    first, second, third, made_up = lines(caplog, 4)
    assert first["split_id"] == split_id
    assert second["upload_id"] == third["upload_id"] == upload_id
    assert made_up["split_id"] is None
    assert "made-up" not in str(made_up)


def test_probes_that_succeed_are_quiet(
    client: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503  # no worker is running
    (line,) = lines(caplog, 1)
    assert (line["route"], line["status"]) == ("/readyz", 503)


def test_a_refused_key_is_logged_with_the_clients_address(
    client: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/v1/credits")
    assert lines(caplog, 1)[0]["address"] == "127.0.0.1"


def test_metrics_need_a_token(client: httpx2.Client, settings: Settings) -> None:
    assert client.get("/metrics").status_code == 401
    wrong = client.get("/metrics", headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 401
    assert "METRICS_TOKEN" in wrong.json()["error"]["message"]
    assert settings.metrics_token is not None
    assert Settings().metrics_token is None  # which refuses all requests


def test_head_is_get_without_a_body(client: httpx2.Client) -> None:
    got, asked = client.get("/healthz"), client.head("/healthz")
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == got.headers["content-length"]
    assert client.head("/v1/credits").status_code == 401
    assert client.head("/nothing").status_code == 404


def test_head_of_a_stream_ends(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    someone = customer(database, server_secrets)
    path = (
        f"/v1/audio/splits/{someone.split().id}/events"  # the stream continues until the split ends
    )
    for _ in range(2):  # on one connection
        answer = client.head(path, headers=someone.headers)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith("text/event-stream")


def metrics(client: httpx2.Client) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("aistemsplitter_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(scraped(client))
        for sample in family.samples
    }


def test_requests_are_counted(client: httpx2.Client) -> None:
    for path in ("/healthz", "/healthz", "/v1/credits", "/a", "/b"):
        client.get(path)
    client.request("MADEUP", "/healthz")
    values = metrics(client)
    assert values["requests_total", "GET", "/healthz", "200"] == 2
    assert values["requests_total", "GET", "/v1/credits", "401"] == 1
    assert values["requests_total", "GET", "unknown", "404"] == 2
    assert values["request_seconds_count", "GET", "/healthz"] == 2
    assert values["process_resident_memory_bytes",] > 0


def test_metrics_from_the_database(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    customer(database, server_secrets)
    beat(database, "one", audio_seconds=100)
    beat(database, "two", audio_seconds=50)
    values = metrics(client)
    assert values["database_up",] == 1
    assert values["workers",] == 2
    assert values["worker_audio_seconds_total", "one"] == 100
    assert values["worker_busy_seconds_total", "two"] == 5
    assert values["ledger_seconds_total", "grant"] == 600
    assert values["queue_age_seconds",] == 0


def test_metrics_without_a_database(client: httpx2.Client, database: Database) -> None:
    with database.connection() as connection:
        connection.exec_driver_sql("ALTER TABLE workers RENAME TO elsewhere")
    values = metrics(client)
    assert values["database_up",] == 0
    assert ("workers",) not in values
