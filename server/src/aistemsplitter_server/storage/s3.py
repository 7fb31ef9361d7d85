"""Objects in a bucket of S3, or of a service that speaks its protocol."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from boto3.s3.transfer import TransferConfig

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.files import open_regular
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.storage import digests, headers, keys, s3_check, signing
from aistemsplitter_server.storage.interface import Claim, Info
from aistemsplitter_server.storage.s3_bucket import Bucket
from aistemsplitter_server.storage.s3_direct import LONGEST, S3DirectUploads
from aistemsplitter_server.storage.s3_multipart import PART, abort, part_bytes
from aistemsplitter_server.storage.s3_partial import S3Partial, rest_key

SCRATCH = "scratch"  # folder in the data folder for files without a name, which end with us
# Memory: four parts are read from disk as they are sent; four are received at a time.
TRANSFER = TransferConfig(
    multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4, max_io_queue=64
)


@dataclass(frozen=True, slots=True)
class S3Storage:
    """The storage in a bucket; ``api/routes/storage.py`` serves its URLs.

    Attributes:
        scratch: Folder for temporary files.
        longest_upload: Bytes; an upload in parts has at most 10,000.
        direct_uploads: Uploads past this service; None if it sends and receives all bytes.
    """

    bucket: Bucket
    secrets: Secrets
    base_url: str
    scratch: Path
    longest_upload: int
    direct_uploads: S3DirectUploads | None

    def at(self, base_url: str) -> S3Storage:
        """See ``Storage``."""
        return replace(self, base_url=base_url)

    def check(self, *, thorough: bool = False) -> None:
        """See ``Storage``."""
        if thorough:
            s3_check.permissions(self.bucket)
        else:
            s3_check.can_be_written(self.bucket)

    def info(self, key: str) -> Info:
        """See ``Storage``."""
        with self.bucket.errors("s3:GetObject"):
            found = self.bucket.client.head_object(**self.bucket.address(key))
        digest = _digest(found["Metadata"])
        etag = found["ETag"] if digest is None else headers.etag(digest)
        return Info(found["ContentLength"], etag, digest, found["LastModified"])

    def open(self, key: str, span: range | None = None) -> BinaryIO:
        """See ``Storage``."""
        parameters = self.bucket.address(key)
        if span is not None:
            if not span:
                return io.BytesIO()
            parameters["Range"] = f"bytes={span.start}-{span.stop - 1}"
        with self.bucket.errors("s3:GetObject"):
            found = self.bucket.client.get_object(**parameters)
        return io.BufferedReader(_Body(self.bucket, found["Body"]))

    def partial(self, key: str, token: str | None, claim: Claim) -> S3Partial:
        """See ``Storage``."""
        size = part_bytes(self.longest_upload)
        return S3Partial(self.bucket, key, token, claim, part_bytes=size, scratch=self.scratch)

    def partials(self) -> Iterator[str]:
        """See ``Storage``."""
        found = {name.rpartition("/")[2] for name, _, _ in self._unfinished(f"{keys.UPLOADS}/")}
        found.update(self.names(keys.PARTIAL))
        yield from (keys.upload(name) for name in sorted(found))

    def delete_partial(self, key: str) -> None:
        """See ``Storage``."""
        address = self.bucket.address(key)
        for name, upload_id, _ in self._unfinished(key):
            if name == address["Key"]:
                with self.bucket.errors("s3:AbortMultipartUpload"):
                    abort(self.bucket, name, upload_id)
        self.delete_prefix(rest_key(key))

    def put_file(self, key: str, path: Path) -> None:
        """See ``Storage``."""
        address = self.bucket.address(key)
        with open_regular(path) as file:
            metadata = {"sha256": digests.of(file).hex()}
            more = {"ContentType": headers.content_type(key), "Metadata": metadata}
            with self.bucket.errors("s3:PutObject"):
                self.bucket.client.upload_file(
                    _path_of(file), **address, ExtraArgs=more, Config=TRANSFER
                )
        path.unlink()

    def delete_prefix(self, prefix: str) -> None:
        """See ``Storage``."""
        start = self.bucket.address(prefix)["Key"]
        failed: OSError | None = None
        for page in self.bucket.pages("list_objects_v2", Prefix=start):
            for each in page.get("Contents", ()):
                if each["Key"] == start or each["Key"].startswith(f"{start}/"):
                    try:
                        self._delete(each["Key"])
                    except OSError as error:
                        failed = failed or error
        if failed is not None:
            raise failed

    def names(self, prefix: str) -> Iterator[str]:
        """See ``Storage``."""
        start = self.bucket.address(prefix)["Key"] + "/"
        last = ""
        # Without a delimiter: with one, SeaweedFS lists empty folders for a while.
        for page in self.bucket.pages("list_objects_v2", Prefix=start):
            for each in page.get("Contents", ()):
                name = each["Key"].removeprefix(start).partition("/")[0]
                if name and name != last:
                    yield name
                last = name

    def walk(self, prefix: str) -> Iterator[str]:
        """See ``Storage``."""
        start = self.bucket.address(prefix)["Key"] + "/"
        for page in self.bucket.pages("list_objects_v2", Prefix=start):
            for each in page.get("Contents", ()):
                key = each["Key"].removeprefix(self.bucket.prefix)
                if keys.is_valid(key):
                    yield key

    def tidy(self, before: datetime) -> None:
        """See ``Storage``. Of uploads, ``delete_partial`` does."""
        uploads = f"{self.bucket.prefix}{keys.UPLOADS}/"
        for name, upload_id, begun in self._unfinished(""):
            if begun < before and not name.startswith(uploads):
                with self.bucket.errors("s3:AbortMultipartUpload"):
                    abort(self.bucket, name, upload_id)

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        """See ``Storage``. The copy has no name, so nothing is left if this process is killed."""
        self.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=self.scratch) as file:
            with self.bucket.errors("s3:GetObject"):
                self.bucket.client.download_fileobj(
                    **self.bucket.address(key), Fileobj=file, Config=TRANSFER
                )
            file.flush()
            yield Path(_path_of(file))

    def url(self, key: str, *, expires_in: timedelta, filename: str) -> str:
        """See ``Storage``."""
        keys.segments(key)
        return signing.sign(self.secrets, self.base_url, key, times.now() + expires_in, filename)

    def direct_url(self, key: str, *, expires_in: timedelta, filename: str) -> str | None:
        """See ``Storage``."""
        if self.direct_uploads is None:
            return None
        parameters = {
            **self.bucket.address(key),
            "ResponseContentDisposition": headers.content_disposition(filename),
            "ResponseContentType": headers.content_type(key),
        }
        seconds = int(min(expires_in, LONGEST).total_seconds())
        with self.bucket.errors():
            address = self.bucket.client.generate_presigned_url(
                "get_object", Params=parameters, ExpiresIn=seconds
            )
        return str(address)

    def direct(self) -> S3DirectUploads | None:
        """See ``Storage``."""
        found = self.direct_uploads
        return found if found is not None and found.are_safe() else None

    def _delete(self, name: str) -> None:
        # One by one: GCS has no request that deletes several.
        with self.bucket.errors("s3:DeleteObject"):
            self.bucket.client.delete_object(Bucket=self.bucket.name, Key=name)

    def _unfinished(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Yield the names, ids and times of multipart uploads that have not ended."""
        start = self.bucket.prefix + prefix
        for page in self.bucket.pages("list_multipart_uploads", Prefix=start):
            for each in page.get("Uploads", ()):
                yield each["Key"], each["UploadId"], each["Initiated"]


class _Body(io.RawIOBase):
    """The bytes of an object, as they arrive."""

    def __init__(self, bucket: Bucket, stream: Any) -> None:
        super().__init__()
        self._bucket = bucket
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._bucket.errors("s3:GetObject"):
            piece: bytes = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _digest(metadata: dict[str, str]) -> bytes | None:
    try:
        return bytes.fromhex(metadata.get("sha256", "")) or None
    except ValueError:
        return None


def _path_of(file: Any) -> str:
    """Return a path that opens this very file, whatever is at its own path by now."""
    return f"/proc/self/fd/{file.fileno()}"
