from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.configured import configured
from databases import only_sqlite

pytestmark = only_sqlite  # these tests do not use the database

KEY = "splits/split_1/1/vocals.wav"
BODY = bytes(range(256)) * 4000
HOUR = timedelta(hours=1)


@pytest.fixture
def url(settings: Settings, server_secrets: Secrets, tmp_path: Path) -> str:
    """The path of an object, without the host."""
    storage = configured(settings, server_secrets)
    draft = tmp_path / "draft"
    draft.write_bytes(BODY)
    storage.put_file(KEY, draft)
    url = storage.url(KEY, expires_in=HOUR, filename="Söng – vocals.wav")
    return url.removeprefix(settings.base_url)


def test_whole(client: httpx2.Client, url: str) -> None:
    answer = client.get(url)
    assert answer.content == BODY
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["repr-digest"] == f"sha-256=:{b64encode(sha256(BODY).digest()).decode()}:"
    assert answer.headers["content-disposition"].startswith(
        'attachment; filename="Song  vocals.wav"'
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = client.head(url)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(BODY)))


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=1000-", slice(1000, None)),
        ("bytes=-5", slice(-5, None)),
    ],
)
def test_ranges(client: httpx2.Client, url: str, header: str, part: slice) -> None:
    answer = client.get(url, headers={"Range": header})
    assert answer.status_code == 206
    assert answer.content == BODY[part]
    start = range(len(BODY))[part].start
    assert answer.headers["content-range"].startswith(f"bytes {start}-")


def test_if_range(client: httpx2.Client, url: str) -> None:
    tag = client.get(url).headers["etag"]
    same = client.get(url, headers={"Range": "bytes=5-", "If-Range": tag})
    assert same.status_code == 206
    other = client.get(url, headers={"Range": "bytes=5-", "If-Range": '"other"'})
    assert (other.status_code, len(other.content)) == (200, len(BODY))
    outside = client.get(url, headers={"Range": f"bytes={len(BODY)}-"})
    assert (outside.status_code, outside.json()["error"]["code"]) == (416, "RANGE_NOT_SATISFIABLE")


def test_urls_with_a_wrong_signature(
    client: httpx2.Client, url: str, settings: Settings, server_secrets: Secrets
) -> None:
    storage = configured(settings, server_secrets)
    expired = storage.url(KEY, expires_in=timedelta(seconds=-1), filename="a")
    for wrong in (
        url.partition("?")[0],
        expired.removeprefix(settings.base_url),
        url.replace("expires=", "expires=9"),
        url.replace("vocals.wav?", "drums.wav?"),
        url.replace("/storage/splits", "/storage/../splits"),
        url + "&filename=other",
        url.replace("filename=", "filename=x"),
    ):
        assert client.get(wrong).status_code in (403, 404), wrong


def test_deleted(
    client: httpx2.Client, url: str, settings: Settings, server_secrets: Secrets
) -> None:
    configured(settings, server_secrets).delete_prefix(KEY)
    answer = client.get(url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
