"""What only a bucket does: presigned URLs, competing uploads, and its errors in one line."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.storage import s3_bucket
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import StorageFailed
from aistemsplitter_server.storage.s3 import S3Storage
from ports import free_port
from processes import until
from seaweed import SECRET
from storage.stored import BIG, KEY, SONG, claim, put, read

HOUR = timedelta(hours=1)


@pytest.fixture
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail at once instead of after some seconds of retries."""
    monkeypatch.setattr(s3_bucket, "ATTEMPTS", 1)


def test_embedded_mode_imports_no_boto3(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "import aistemsplitter_server.app, aistemsplitter_server.worker.process\n"
        "from aistemsplitter_server.kit.secrets import Secrets\n"
        "from aistemsplitter_server.kit.settings import Settings\n"
        "from aistemsplitter_server.storage.configured import configured\n"
        "configured(Settings(data=Path(sys.argv[1])), Secrets(bytes(32))).check()\n"
        "assert not {'boto3', 'botocore', 's3transfer'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_a_prefix(s3: S3Storage, tmp_path: Path) -> None:
    put(s3, tmp_path, b"x")
    assert s3.bucket.prefix
    whole = replace(s3, bucket=replace(s3.bucket, prefix=""))
    assert read(whole, s3.bucket.prefix + KEY) == b"x"


def test_downloads_past_the_service(s3: S3Storage, tmp_path: Path) -> None:
    put(s3, tmp_path, BIG)
    url = s3.direct_url(KEY, expires_in=HOUR, filename="Söng.wav")
    assert url is not None
    with httpx2.Client(trust_env=False, timeout=60) as client:
        for _ in range(2):
            answer = client.get(url)
            assert answer.content == BIG
        assert answer.headers["content-type"] == "audio/wav"
        assert "filename*=UTF-8''S%C3%B6ng.wav" in answer.headers["content-disposition"]
        part = client.get(url, headers={"Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, BIG[5:10])
        for refused in (
            url.replace("vocals.wav", "drums.wav"),
            url.replace("X-Amz-Expires=3600", "X-Amz-Expires=36000"),
            url.replace("audio%2Fwav", "text%2Fhtml"),
            url.partition("?")[0],
        ):
            assert refused != url
            assert client.get(refused).status_code == 403, refused
        assert client.put(url, content=b"x").status_code == 403
        short = s3.direct_url(KEY, expires_in=timedelta(seconds=1), filename="a")
        assert short is not None
        until(lambda: client.get(short).status_code == 403)


def test_a_url_works_for_a_week_at_most(s3: S3Storage) -> None:
    url = s3.direct_url(KEY, expires_in=timedelta(days=30), filename="a")
    assert "X-Amz-Expires=604800" in str(url)


def test_downloads_through_the_service(bucket_address: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, storage=bucket_address, storage_proxy=True)
    storage = configured(settings, Secrets(bytes(32)))
    assert storage.direct_url(KEY, expires_in=HOUR, filename="a") is None


def test_no_copy_is_left(s3: S3Storage, tmp_path: Path) -> None:
    put(s3, tmp_path, BIG)
    with s3.local_path(KEY) as path:
        assert path.read_bytes() == BIG
        assert [*s3.scratch.iterdir()] == []


def test_two_requests_that_send_the_same_upload(s3: S3Storage) -> None:
    tokens: list[str] = []

    def note(_before: str | None, token: str) -> None:
        tokens.append(token)

    first = s3.partial(SONG, None, note)
    first.begin(0)
    first.write(BIG[: 9 << 20])
    second = s3.partial(SONG, tokens[-1], note)
    assert second.size == 8 << 20  # the rest is in the other process
    second.begin(0)
    second.write(b"other")
    with pytest.raises(Conflict):
        first.write(BIG)
    with pytest.raises(Conflict):
        first.store()
    second.store()
    for partial in (first, second):
        partial.close()
    assert read(s3, SONG) == b"other"
    assert len(tokens) == 2


def test_an_upload_that_another_request_claimed(s3: S3Storage) -> None:
    def refuse(_before: str | None, _token: str) -> None:
        raise Conflict("Another request is uploading this file.")

    partial = s3.partial(SONG, None, refuse)
    with pytest.raises(Conflict):
        partial.write(b"song")
    partial.close()
    assert [*s3.partials()] == []


def test_an_upload_whose_last_answer_is_lost(s3: S3Storage) -> None:
    partial = s3.partial(SONG, None, claim)
    partial.write(b"song")
    complete = s3.bucket.client.complete_multipart_upload

    def twice(**parameters: object) -> None:
        complete(**parameters)
        raise ClientError({"Error": {"Code": "NoSuchUpload"}}, "CompleteMultipartUpload")

    s3.bucket.client.complete_multipart_upload = twice
    partial.store()
    partial.close()
    assert read(s3, SONG) == b"song"


def test_abandoned_transfers(s3: S3Storage) -> None:
    """A worker that is killed leaves the parts of a stem behind."""
    client, address = s3.bucket.client, s3.bucket.address(KEY)
    client.create_multipart_upload(**address)
    partial = s3.partial(SONG, None, claim)
    partial.write(b"song")
    partial.close()
    s3.tidy(times.now() - HOUR)
    assert len([*s3._unfinished("")]) == 2
    s3.tidy(times.now() + HOUR)
    assert [name for name, _, _ in s3._unfinished("")] == [s3.bucket.prefix + SONG]


@pytest.mark.parametrize(
    ("action", "permission"),
    [("Read", "s3:GetObject"), ("Write", "s3:PutObject"), ("List", "s3:ListBucket")],
)
def test_a_missing_permission(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, permission: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"no-{action}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    error = fault(Settings(data=tmp_path))
    assert f"lack {permission} on bucket {bucket}" in str(error)


@pytest.mark.usefixtures("bucket", "one_attempt")
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (f"{PREFIX}STORAGE", "s3://no-such-bucket", "there is no bucket no-such-bucket; create it"),
        (f"{PREFIX}STORAGE_ENDPOINT", None, "cannot be reached; check that it runs"),
        ("AWS_ACCESS_KEY_ID", "stranger", "does not know the access key"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "the secret key is wrong"),
    ],
)
def test_wrong_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, said: str
) -> None:
    monkeypatch.setenv(variable, value or f"http://127.0.0.1:{free_port()}")
    text = str(fault(Settings(data=tmp_path)))
    assert said in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("code", "number", "said"),
    [
        ("ExpiredToken", errno.EACCES, "have expired; renew them"),
        ("RequestTimeTooSkewed", errno.EACCES, "clock is wrong by more than 15 minutes"),
        ("AuthorizationHeaderMalformed", errno.EACCES, "in another region"),
        ("301", errno.EACCES, "in another region"),
        ("QuotaExceeded", errno.ENOSPC, "is full (QuotaExceeded)"),
        ("SlowDown", errno.EIO, "answered SlowDown (why)"),
    ],
)
def test_errors_of_other_services(s3: S3Storage, code: str, number: int, said: str) -> None:
    answer = {"Error": {"Code": code, "Message": "why\nand more"}}
    error = raised(s3, lambda: ClientError(answer, "PutObject"))
    assert error.errno == number
    assert said in str(error)


def test_no_credentials(s3: S3Storage) -> None:
    assert "there are no usable AWS credentials" in str(raised(s3, NoCredentialsError))


def fault(settings: Settings) -> StorageFailed:
    """Return the error of the storage's check."""
    storage = configured(settings, Secrets(bytes(32)))
    with pytest.raises(StorageFailed) as caught:
        storage.check(thorough=True)
    return caught.value


def raised(storage: S3Storage, error: Callable[[], Exception]) -> StorageFailed:
    """Return what an error of boto3 is translated to."""
    with pytest.raises(StorageFailed) as caught, storage.bucket.errors():
        raise error()
    return caught.value
