from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.uploads import listing
from aistemsplitter_server.uploads.tables import Upload
from customers import Customer, customer
from databases import only_sqlite
from query_plans import planned

UPLOADS = "/v1/audio/uploads"


@pytest.fixture
def theirs(client: httpx2.Client, someone: Customer) -> httpx2.Client:
    """A client with the customer's key."""
    client.headers.update(someone.headers)
    return client


def error(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_upload(theirs: httpx2.Client, someone: Customer) -> None:
    body = {"filename": "a.flac", "contentType": "audio/flac", "contentLength": 9}
    reserved = theirs.post(UPLOADS, json=body).json()["data"]
    shown = theirs.get(f"{UPLOADS}/{reserved['uploadId']}").json()["data"]
    assert shown | body | {"uploaded": False, "durationSeconds": None, "error": None} == shown
    for name in ("uploadId", "audioUrl", "expiresAt"):
        assert shown[name] == reserved[name]
    fault = {"fault_code": "UNSUPPORTED_MEDIA", "fault_message": "Not audio."}
    good, bad = someone.upload(20.5), someone.upload(0, **fault)
    shown = theirs.get(f"{UPLOADS}/{good.id}").json()["data"]
    assert (shown["uploaded"], shown["durationSeconds"], shown["error"]) == (True, 20.5, None)
    shown = theirs.get(f"{UPLOADS}/{bad.id}").json()["data"]
    assert shown["error"] == {"code": "UNSUPPORTED_MEDIA", "message": "Not audio."}
    assert error(theirs.get(f"{UPLOADS}/upl_none")) == (404, "NOT_FOUND")


def test_pages_of_uploads(theirs: httpx2.Client, someone: Customer) -> None:
    made = [someone.upload().id for _ in range(5)]
    someone.upload(deleted_at=times.now())
    seen: list[str] = []
    params: dict[str, str | int] = {"limit": 2}
    while True:
        page = theirs.get(UPLOADS, params=params).json()["data"]
        seen += [item["uploadId"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        params["cursor"] = page["nextCursor"]
    assert seen == made[::-1]
    assert error(theirs.get(UPLOADS, params={"cursor": "x"})) == (422, "VALIDATION_ERROR")


def test_a_deleted_upload(theirs: httpx2.Client, someone: Customer) -> None:
    split = someone.split()
    in_use = f"{UPLOADS}/{split.upload_id}"
    assert error(theirs.delete(in_use)) == (409, "CONFLICT")
    with someone.database.write() as session:
        service.cancel(session, session.get_one(Split, split.id))
    assert theirs.delete(in_use).json()["data"] == {"uploadId": split.upload_id, "deleted": True}
    for answer in (theirs.delete(in_use), theirs.get(in_use)):
        assert error(answer) == (404, "NOT_FOUND")
    with someone.database.read() as session:
        upload = session.get_one(Upload, split.upload_id)
        assert upload.deleted_at is not None
        assert upload.filename == ""
    again = theirs.post("/v1/audio/splits", json=someone.request(upload))
    assert error(again) == (404, "NOT_FOUND")


def test_an_upload_that_is_deleted_twice_at_once(theirs: httpx2.Client, someone: Customer) -> None:
    begin = threading.Barrier(2)

    def delete(path: str) -> int:
        begin.wait(60)
        return theirs.delete(path).status_code

    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            path = f"{UPLOADS}/{someone.upload().id}"
            assert sorted(threads.map(delete, [path] * 2)) == [200, 404]


def test_they_need_a_scope(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    limited = customer(database, server_secrets, allowed=(Scope.SPLITS_READ,))
    path = f"{UPLOADS}/{limited.upload().id}"
    for method, url in (("GET", UPLOADS), ("GET", path), ("DELETE", path)):
        assert client.request(method, url, headers=limited.headers).status_code == 403


@only_sqlite
def test_a_page_is_read_in_the_order_of_its_index(database: Database, someone: Customer) -> None:
    with planned(database) as plans, database.read() as session:
        listing.page(session, someone.caller, "upl_1", 20)
    (plan,) = plans
    assert "USING INDEX ix_uploads_listed" in plan
    assert "TEMP B-TREE" not in plan
