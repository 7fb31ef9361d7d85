"""Checks of a bucket: that it can be written, and that every permission is there."""

from __future__ import annotations

from contextlib import closing

from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.s3_bucket import Bucket


def can_be_written(bucket: Bucket) -> None:
    """Write a small object.

    Raises:
        StorageFailed: It cannot be written.
    """
    with bucket.errors("s3:PutObject"):
        bucket.client.put_object(**bucket.address(keys.CHECK), Body=b"1")


def permissions(bucket: Bucket) -> None:
    """Do once whatever the service does, and leave nothing behind.

    Raises:
        StorageFailed: It names the first permission that is missing, or another problem.
    """
    client, address = bucket.client, bucket.address(keys.CHECK)
    for _ in bucket.pages("list_objects_v2", Prefix=address["Key"]):
        pass
    can_be_written(bucket)
    with bucket.errors("s3:GetObject"), closing(client.get_object(**address)["Body"]) as body:
        body.read()
    with bucket.errors("s3:ListBucketMultipartUploads"):
        client.list_multipart_uploads(Bucket=bucket.name, Prefix=address["Key"])
    with bucket.errors("s3:PutObject"):
        upload_id = client.create_multipart_upload(**address)["UploadId"]
    try:
        with bucket.errors("s3:ListMultipartUploadParts"):
            client.list_parts(**address, UploadId=upload_id)
    finally:
        with bucket.errors("s3:AbortMultipartUpload"):
            client.abort_multipart_upload(**address, UploadId=upload_id)
    with bucket.errors("s3:DeleteObject"):
        client.delete_object(**address)
