"""Multipart uploads of S3: objects that arrive in parts, which any process can continue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.storage.interface import BUSY, Claim, Missing
from aistemsplitter_server.storage.s3_bucket import NO_UPLOAD, Bucket, code

PART = 8 << 20  # bytes of one part; S3 takes 5 MiB to 5 GiB
MOST_PARTS = 10_000  # in one upload


def part_bytes(longest_upload: int) -> int:
    """Return the length of every part but the last. R2 wants them equal.

    Args:
        longest_upload: Bytes of the longest upload that is accepted.
    """
    return max(PART, -(-longest_upload // MOST_PARTS))


def create(bucket: Bucket, address: dict[str, str], before: str | None, claim: Claim) -> str:
    """Begin a multipart upload, claim its id, and return it.

    Args:
        before: The id that was claimed before, if any.

    Raises:
        Conflict: Another request has claimed one meanwhile.
    """
    with bucket.errors("s3:PutObject"):
        upload_id: str = bucket.client.create_multipart_upload(**address)["UploadId"]
    try:
        claim(before, upload_id)
    except BaseException:
        with bucket.errors("s3:AbortMultipartUpload"):
            abort(bucket, address["Key"], upload_id)
        raise
    return upload_id


def parts(bucket: Bucket, address: dict[str, str], upload_id: str) -> Iterator[dict[str, Any]]:
    """Yield the parts that have arrived, by number.

    Raises:
        Conflict: The upload has ended, or was deleted.
    """
    pages = bucket.client.get_paginator("list_parts")
    with bucket.errors("s3:ListMultipartUploadParts"), conflicts():
        for page in pages.paginate(**address, UploadId=upload_id):
            yield from page.get("Parts", ())


def complete(
    bucket: Bucket, address: dict[str, str], upload_id: str, etags: list[str], size: int
) -> None:
    """Make an object of the first parts.

    Args:
        etags: Those of the parts, in order.
        size: Bytes of all of them.

    Raises:
        FileNotFoundError: The upload was deleted, or another request has changed it.
    """
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    try:
        with bucket.errors("s3:PutObject"), conflicts():
            bucket.client.complete_multipart_upload(
                **address, UploadId=upload_id, MultipartUpload={"Parts": listed}
            )
    except Conflict:
        # The first answer may have been lost, and boto3 has asked again.
        if not is_stored(bucket, address, size):
            raise FileNotFoundError(address["Key"]) from None


def is_stored(bucket: Bucket, address: dict[str, str], size: int) -> bool:
    """Return whether there is an object of this size."""
    try:
        with bucket.errors("s3:GetObject"):
            found = bucket.client.head_object(**address)
    except Missing:
        return False
    return bool(found["ContentLength"] == size)


def abort(bucket: Bucket, name: str, upload_id: str) -> None:
    """Delete the parts of a multipart upload, unless it has ended."""
    try:
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=name, UploadId=upload_id)
    except ClientError as error:
        if code(error) != NO_UPLOAD:
            raise


@contextmanager
def conflicts() -> Iterator[None]:
    """Raise ``Conflict`` where another request has ended or replaced the upload."""
    try:
        yield
    except ClientError as error:
        if code(error) in (NO_UPLOAD, "InvalidPart"):
            raise Conflict(BUSY) from None
        raise
