from __future__ import annotations

import io
import json
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import service, sharing
from aistemsplitter_server.splits.tables import Share, Split
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import Storage
from customers import Customer
from processes import SONG
from visitors import Visitor

MARKUP = "<img src=x onerror=alert(1)>'\"&.flac"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def storage(settings: Settings, server_secrets: Secrets) -> Storage:
    return configured(settings, server_secrets)


def ask(visitor: Visitor, path: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
    """Send a request as the studio's script does."""
    sent = {"Sec-Fetch-Site": "same-origin", "Accept": "application/json", **headers}
    return visitor.request("POST", path, json=body, headers=sent)


def test_a_song_is_uploaded_and_split(signed_in: Visitor, hers: Customer) -> None:
    body = SONG.read_bytes()
    reserved = ask(
        signed_in,
        "/studio/uploads",
        {"filename": MARKUP, "contentType": "audio/flac", "contentLength": len(body)},
    ).json()["data"]
    direct = reserved["direct"]
    sent = signed_in.client.put(direct["url"], content=body, headers=direct["headers"])
    assert sent.status_code == 200
    split_request = {
        "input": {"type": "uploaded_file", "uploadId": reserved["uploadId"]},
        "stemModel": "htdemucs_tiny",
        "stems": ["vocals"],
        "outputFormat": "flac",
    }
    begun, again = (
        ask(signed_in, "/studio/splits", split_request, **{"Idempotency-Key": "once"}).json()[
            "data"
        ]
        for _ in range(2)
    )
    assert begun["id"] == again["id"]
    assert f'id="{begun["id"]}"' in begun["html"]
    assert hers.balance == 580
    page = signed_in.get("/studio").text
    for text in (begun["html"], page):
        assert "<img src=x" not in text
        assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "9:40" in page


def test_errors_are_translated(signed_in: Visitor, hers: Customer) -> None:
    split_request = hers.request(hers.upload(700))
    refused = ask(signed_in, "/studio/splits", split_request)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "INSUFFICIENT_CREDITS")
    assert "Not enough minutes left" in refused.json()["error"]["message"]
    signed_in.post("/language", {"language": "zh-TW"})
    assert (
        "分鐘數不足" in ask(signed_in, "/studio/splits", split_request).json()["error"]["message"]
    )
    unknown = ask(signed_in, "/studio/splits", {**split_request, "colour": "red"})
    assert unknown.status_code == 422
    signed_in.cookies.clear()
    assert ask(signed_in, "/studio/splits", split_request).status_code == 401


def test_search_and_paging_of_the_list(signed_in: Visitor, hers: Customer) -> None:
    for number in range(22):
        hers.split_of(hers.upload(filename=f"Song {number:02d} 100%.flac"))
    first = signed_in.get("/studio").text
    assert "Song 21" in first
    assert "Song 01" not in first
    more = first.partition('hx-get="/studio?q=&amp;before=')[2].partition('"')[0]
    rest = signed_in.get(f"/studio?q=&before={more}", headers=HTMX).text
    assert "Song 01" in rest
    assert "Song 02" not in rest
    assert "<html" not in rest
    found = signed_in.get("/studio?q=song 1", headers=HTMX).text
    assert found.count('<li class="song"') == 10
    found = signed_in.get("/studio?q=0%25", headers=HTMX).text
    assert found.count('<li class="song"') == 20
    assert "No songs match" in signed_in.get("/studio?q=_").text
    assert "&lt;b&gt;" in signed_in.get("/studio?q=<b>").text


def test_cancelling_retrying_and_deleting(signed_in: Visitor, hers: Customer) -> None:
    split = hers.split()
    path = f"/studio/songs/{split.id}"
    assert hers.balance == 580
    row = signed_in.post(f"{path}/cancel", headers=HTMX).text
    assert "Cancelled" in row
    assert hers.balance == 600
    assert signed_in.post(f"{path}/cancel").status_code == 409
    made = signed_in.post(f"{path}/again", headers=HTMX).text
    assert split.id not in made
    assert hers.balance == 580
    assert signed_in.post(f"{path}/delete", headers=HTMX).text == ""
    assert signed_in.post(f"{path}/delete").status_code == 404
    assert split.id not in signed_in.get("/studio").text


def test_a_repeated_retry_is_one_split_and_one_charge(signed_in: Visitor, hers: Customer) -> None:
    failed = hers.split()
    signed_in.post(f"/studio/songs/{failed.id}/cancel")
    path = f"/studio/songs/{failed.id}/again"
    start = threading.Barrier(4)

    def send() -> httpx2.Response:
        start.wait()
        return signed_in.post(path)

    with ThreadPoolExecutor(4) as threads:
        sent = [each.result() for each in [threads.submit(send) for _ in range(4)]]
    assert [each.status_code for each in sent] == [303] * 4
    assert signed_in.post(path, headers=HTMX).headers["hx-refresh"] == "true"
    assert hers.balance == 580
    with hers.database.read() as session:
        retried = session.scalars(select(Split).where(Split.id != failed.id)).one()
    assert retried.retry_of == failed.id

    signed_in.post(f"/studio/songs/{retried.id}/cancel")
    assert signed_in.post(path).is_redirect  # the retry failed too, so this is a new retry
    assert hers.balance == 580


def test_a_failed_song_is_tried_again_on_its_own_page(signed_in: Visitor, hers: Customer) -> None:
    failed = hers.split()
    signed_in.post(f"/studio/songs/{failed.id}/cancel")
    page = signed_in.get(f"/studio/songs/{failed.id}").text
    assert f'action="/studio/songs/{failed.id}/again"' in page
    assert page.count("ry again") == 1  # its button; nothing sends the reader elsewhere


def test_the_reason_of_a_failure(signed_in: Visitor, hers: Customer) -> None:
    split = hers.split()
    with hers.database.write() as session:
        service.fail(
            session, session.get_one(Split, split.id), "UNSUPPORTED_MEDIA", "readable audio"
        )
    assert "This file isn’t readable audio." in signed_in.get("/studio").text


def test_songs_are_updated_until_they_end(signed_in: Visitor, hers: Customer) -> None:
    first, second = hers.split(), hers.split()
    with hers.database.write() as session:
        service.cancel(session, session.get_one(Split, first.id))
    headers = {"Cookie": f"__Host-session={signed_in.cookies['__Host-session']}"}
    url = f"/studio/events?id={first.id}&id={second.id}&id=split_unknown"
    events: list[dict[str, Any]] = []
    with signed_in.client.stream("GET", url, headers=headers) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: ") and line != "data: {}":
                events.append(json.loads(line[6:]))
                if len(events) == 2:
                    with hers.database.write() as session:
                        service.cancel(session, session.get_one(Split, second.id))
    assert [each["id"] for each in events] == [first.id, second.id, second.id]
    assert "Next in the queue" in events[1]["html"]
    assert "Cancelled" in events[2]["html"]
    assert [events[1]["balance"], events[2]["balance"]] == [580, 600]


def test_all_stems_in_a_zip(signed_in: Visitor, hers: Customer, storage: Storage) -> None:
    split = hers.finished(storage, filename="Ünïcode/../song.flac")
    answer = signed_in.get(f"/studio/songs/{split.id}/stems.zip")
    assert answer.headers["content-type"] == "application/zip"
    assert int(answer.headers["content-length"]) == len(answer.content)
    made = zipfile.ZipFile(io.BytesIO(answer.content))
    assert made.testzip() is None
    assert {name: made.read(name).decode()[:4] for name in made.namelist()} == {
        f"song - {stem}.wav": stem[:4] for stem in split.stems
    }
    waiting = hers.split()
    assert signed_in.get(f"/studio/songs/{waiting.id}/stems.zip").status_code == 404


@pytest.mark.parametrize("title", ["音" * 83, "\N{GUITAR}" * 70, "a" * 200])
def test_stems_of_a_long_title_in_a_zip(
    signed_in: Visitor, hers: Customer, storage: Storage, title: str
) -> None:
    """File systems limit names to 255 bytes; each stem still gets a unique name."""
    split = hers.finished(storage, filename=f"{title}.flac")
    answer = signed_in.get(f"/studio/songs/{split.id}/stems.zip")
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert [name.rpartition(" - ")[2] for name in names] == [f"{s}.wav" for s in split.stems]
    assert all(len(name.encode()) <= 240 for name in names)
    assert all(name.startswith(title[:50]) for name in names)


def test_a_share_link(
    signed_in: Visitor, hers: Customer, storage: Storage, server_secrets: Secrets
) -> None:
    split = hers.finished(storage)
    path = f"/studio/songs/{split.id}"
    anyone = Visitor(signed_in.client)

    def shared(days: int) -> Share:
        """Share the song and return the newest link."""
        assert signed_in.post(f"{path}/share", {"days": days}).status_code == 303
        with hers.database.read() as session:
            found = session.query(Share).order_by(Share.id.desc()).first()
        assert found is not None
        return found

    def works(share: Share) -> bool:
        token = sharing.token(server_secrets, share)
        assert token.encode() not in share.digest
        return anyone.get(f"/shared/{token}/stems.zip").status_code == 200

    assert anyone.get("/shared/made-up/stems.zip").status_code == 404
    short = shared(1)
    assert works(short)
    assert timedelta(hours=23) < short.expires_at - times.now() < timedelta(hours=25)
    with hers.database.write() as session:
        session.get_one(Share, short.id).expires_at = times.now()
    assert not works(short)

    long = shared(30)
    assert long.expires_at == split.expires_at  # not longer than the stems are kept
    assert works(long)
    assert signed_in.post(f"/studio/shares/{long.id}/revoke").status_code == 303
    assert not works(long)
    last = shared(7)
    signed_in.post(f"{path}/delete")
    assert not works(last)
    assert signed_in.post(f"{path}/share", {"days": 99}).status_code == 422


def test_another_accounts_songs_are_not_found(
    signed_in: Visitor, stranger: Visitor, hers: Customer, storage: Storage
) -> None:
    split = hers.finished(storage)
    path = f"/studio/songs/{split.id}"
    signed_in.post(f"{path}/share", {"days": 1})
    with hers.database.read() as session:
        share = session.query(Share).one()
    for action in ("cancel", "again", "delete", "share"):
        assert stranger.post(f"{path}/{action}").status_code == 404, action
    assert stranger.get(f"{path}/stems.zip").status_code == 404
    assert stranger.get(path).status_code == 404
    assert stranger.post(f"/studio/shares/{share.id}/revoke").status_code == 404
    assert split.id not in stranger.get("/studio").text
    events = stranger.get(f"/studio/events?id={split.id}")
    assert split.id not in events.text
    split_request = hers.request(hers.upload())
    assert ask(stranger, "/studio/splits", split_request).status_code == 404


def test_songs_of_test_keys_are_listed_separately(
    signed_in: Visitor, hers: Customer, server_secrets: Secrets
) -> None:
    with hers.database.write() as session:
        key = accounts.create_key(session, server_secrets, hers.caller.account_id, test=True)
    caller = accounts.authenticate(hers.database, server_secrets, key.api_key)
    tester = Customer(hers.database, caller, key.api_key, key.webhook_secret)
    hers.split_of(hers.upload(filename="Live.flac"))
    theirs = tester.split_of(tester.upload(filename="Tried.flac")).id
    live, test = (signed_in.get(f"/studio{query}").text for query in ("", "?mode=test"))
    assert ("Live.flac" in live, "Tried.flac" in live) == (True, False)
    assert ("Live.flac" in test, "Tried.flac" in test) == (False, True)
    # People can manage both.
    assert signed_in.get(f"/studio/songs/{theirs}").status_code == 200
    assert signed_in.post(f"/studio/songs/{theirs}/cancel").status_code == 303
    assert signed_in.post(f"/studio/songs/{theirs}/delete").status_code == 303
    assert signed_in.get(f"/studio/songs/{theirs}").status_code == 404


def test_the_studio_accepts_no_webhook_url(signed_in: Visitor, hers: Customer) -> None:
    split_request = {**hers.request(hers.upload()), "webhookUrl": "https://example.com/"}
    refused = ask(signed_in, "/studio/splits", split_request)
    assert refused.status_code == 422
    assert "webhookUrl" in refused.text
