"""Uploads that clients send to the bucket themselves, by presigned requests."""

from __future__ import annotations

import logging
import threading
import time
from base64 import b64encode
from datetime import timedelta
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Claim, PutRequest, StorageFailed
from aistemsplitter_server.storage.s3_bucket import NOT_OFFERED, Bucket, code
from aistemsplitter_server.storage.s3_multipart import part_bytes
from aistemsplitter_server.storage.s3_parts import S3Parts

logger = logging.getLogger(__name__)

LONGEST = timedelta(days=7)  # that a presigned URL may work
PAUSE = 60.0  # seconds until the next try after one that failed
ONLY_NEW = "*"  # If-None-Match: no object has the key yet
IS_THERE = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


class S3DirectUploads:
    """Presigned uploads to one bucket.

    A presigned URL works until it expires, as often as it is used. So it could replace a song
    after it was measured, unless the service honours ``If-None-Match: *``, which some do not.

    Args:
        longest_upload: Bytes of the longest upload that is accepted.
    """

    def __init__(self, bucket: Bucket, longest_upload: int) -> None:
        self._bucket = bucket
        self._longest_upload = longest_upload
        self._lock = threading.Lock()
        self._are_safe: bool | None = None  # None until that is known
        self._try_at = 0.0  # by the monotonic clock

    def are_safe(self) -> bool:
        """Return whether the bucket never replaces objects on request; False until that is known.

        The first call tries it. Other calls during that try, and those within ``PAUSE`` after one
        that failed, return False at once.
        """
        if self._are_safe is None and self._lock.acquire(blocking=False):
            try:
                if self._are_safe is None and time.monotonic() >= self._try_at:
                    self._are_safe = self._writes_once()
            except StorageFailed as error:
                self._try_at = time.monotonic() + PAUSE
                logger.warning(
                    "direct uploads are off for now: %s. Uploads pass through the API;"
                    " the bucket is tried again after %.0f s.",
                    error,
                    PAUSE,
                )
            finally:
                self._lock.release()
        return bool(self._are_safe)

    def origin(self) -> str:
        """See ``DirectUploads``."""
        parts = urlsplit(self._presigned(keys.CHECK, timedelta(minutes=1)))
        return f"{parts.scheme}://{parts.netloc}"

    def put(
        self,
        key: str,
        *,
        expires_in: timedelta,
        length: int,
        content_type: str,
        sha256: bytes | None,
    ) -> PutRequest:
        """See ``DirectUploads``."""
        headers = {"Content-Type": content_type, "If-None-Match": ONLY_NEW}
        parameters: dict[str, Any] = {
            "ContentLength": length,
            "ContentType": content_type,
            "IfNoneMatch": ONLY_NEW,
        }
        if sha256 is not None:
            digest = b64encode(sha256).decode()
            parameters["ChecksumSHA256"] = headers["x-amz-checksum-sha256"] = digest
        return PutRequest(self._presigned(key, expires_in, **parameters), headers)

    def parts(self, key: str, token: str | None, claim: Claim, length: int) -> S3Parts:
        """See ``DirectUploads``."""
        size = part_bytes(self._longest_upload)
        return S3Parts(self._bucket, key, token, claim, length=length, part_bytes=size)

    def _presigned(self, key: str, expires_in: timedelta, **parameters: Any) -> str:
        seconds = int(min(expires_in, LONGEST).total_seconds())
        with self._bucket.errors():
            url = self._bucket.client.generate_presigned_url(
                "put_object",
                Params={**self._bucket.address(key), **parameters},
                ExpiresIn=seconds,
            )
        return str(url)

    def _writes_once(self) -> bool:
        """Return whether the bucket refuses to replace an object on request, by trying it."""
        client = self._bucket.client
        address = self._bucket.address(f"{keys.CHECK}-{token_hex(8)}")
        with self._bucket.errors("s3:PutObject"):
            client.put_object(**address, Body=b"1")
        try:
            with self._bucket.errors("s3:PutObject"):
                return self._refuses(address)
        finally:
            with self._bucket.errors("s3:DeleteObject"):
                client.delete_object(**address)

    def _refuses(self, address: dict[str, str]) -> bool:
        try:
            self._bucket.client.put_object(**address, Body=b"2", IfNoneMatch=ONLY_NEW)
        except ClientError as error:
            if code(error) in IS_THERE:
                return True
            if code(error) not in NOT_OFFERED:
                raise
        logger.warning(
            "direct uploads are off: bucket %s ignores If-None-Match, so a URL could replace songs."
            " Uploads pass through the API; use a service with conditional writes to avoid that.",
            self._bucket.name,
        )
        return False
