"""An object whose parts clients send to the bucket themselves, as a multipart upload of S3."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.storage import s3_multipart
from aistemsplitter_server.storage.interface import Claim, PartRequest
from aistemsplitter_server.storage.s3_bucket import Bucket


class S3Parts:
    """A multipart upload. Its id is the token.

    A presigned URL of a part works as often as it is used, but only until the upload has ended. So
    none can change the object.

    Args:
        token: Of the upload to continue. If it has ended, another one begins.
        length: Of the object, in bytes.
        part_bytes: Length of each part but the last.

    Raises:
        StorageFailed: The bucket cannot be used.
        Conflict: Another request has begun an upload meanwhile.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        token: str | None,
        claim: Claim,
        *,
        length: int,
        part_bytes: int,
    ) -> None:
        self._bucket = bucket
        self._address = bucket.address(key)
        self._length = length
        self._spans = [
            range(start, min(start + part_bytes, length)) for start in range(0, length, part_bytes)
        ]
        self._etags: dict[int, str] = {}  # of the parts that have arrived, by number
        self._is_stored = False
        if token is None or not self._resume(token):
            self._is_stored = token is not None and s3_multipart.is_stored(
                bucket, self._address, length
            )
            if not self._is_stored:
                token = s3_multipart.create(bucket, self._address, token, claim)
        self._upload_id = token

    @property
    def token(self) -> str | None:
        """See ``DirectParts``."""
        return self._upload_id

    @property
    def missing(self) -> Sequence[range]:
        """See ``DirectParts``."""
        if self._is_stored:
            return ()
        numbered = enumerate(self._spans, 1)
        return [span for number, span in numbered if number not in self._etags]

    def request(self, span: range, expires_in: timedelta) -> PartRequest:
        """See ``DirectParts``."""
        parameters = {
            **self._address,
            "UploadId": self._upload_id,
            "PartNumber": self._spans.index(span) + 1,
            "ContentLength": len(span),
        }
        with self._bucket.errors():
            url = self._bucket.client.generate_presigned_url(
                "upload_part", Params=parameters, ExpiresIn=int(expires_in.total_seconds())
            )
        return PartRequest(span.start, len(span), str(url))

    def store(self) -> None:
        """See ``DirectParts``."""
        if self._is_stored:
            return
        assert self._upload_id is not None
        etags = [self._etags[number] for number in range(1, len(self._spans) + 1)]
        s3_multipart.complete(self._bucket, self._address, self._upload_id, etags, self._length)

    def _resume(self, upload_id: str) -> bool:
        """Find the parts of an upload; return False if it has ended."""
        sizes = {number: len(span) for number, span in enumerate(self._spans, 1)}
        try:
            for part in s3_multipart.parts(self._bucket, self._address, upload_id):
                if part["Size"] == sizes.get(part["PartNumber"]):
                    self._etags[part["PartNumber"]] = part["ETag"]
        except Conflict:
            return False
        return True
