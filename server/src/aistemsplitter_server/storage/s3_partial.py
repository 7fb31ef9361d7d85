"""An object that arrives over several requests, as a multipart upload of S3.

S3 keeps whole parts. What has arrived after the last of them is kept as an object of its own, so
any process can continue where another has stopped.
"""

from __future__ import annotations

import logging
import os
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile

from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.storage import keys, s3_multipart
from aistemsplitter_server.storage.interface import Claim, Missing, StorageFailed
from aistemsplitter_server.storage.s3_bucket import Bucket

logger = logging.getLogger(__name__)

COPY = 1 << 20  # bytes at a time


class S3Partial:
    """A multipart upload. Its id is the token.

    Args:
        token: Of the upload to continue.
        part_bytes: Length of each part but the last; R2 wants them equal.
        scratch: Folder for the bytes of one part.

    Raises:
        StorageFailed: The bucket cannot be read.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        token: str | None,
        claim: Claim,
        *,
        part_bytes: int,
        scratch: Path,
    ) -> None:
        self._bucket = bucket
        self._address = bucket.address(key)
        self._rest_address = bucket.address(rest_key(key))
        self._claim = claim
        self._claimed = token
        self._upload_id = token  # None if there is no such upload
        self._part_bytes = part_bytes
        self._etags: list[str] = []  # of the parts
        self._stored = 0  # bytes in parts
        self._rest = 0  # bytes in the file
        self._rest_is_new = False
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = TemporaryFile(dir=scratch, buffering=0)  # noqa: SIM115  # closed by close()
        try:
            if token is not None:
                self._resume(token)
        except BaseException:
            self._file.close()
            raise

    @property
    def size(self) -> int:
        """See ``Partial``."""
        return self._stored + self._rest

    @property
    def token(self) -> str | None:
        """See ``Partial``."""
        return self._claimed

    def begin(self, offset: int) -> None:
        """See ``Partial``."""
        if self._upload_id is not None and self._stored <= offset <= self.size:
            self._cut(offset - self._stored)
            return
        if self._upload_id is not None:
            self._abort(self._upload_id)
        self._forget()

    def write(self, piece: bytes) -> None:
        """See ``Partial``."""
        if self._upload_id is None:
            self._create()
        left = memoryview(piece)
        while left:
            taken = left[: self._part_bytes - self._rest]
            self._append(taken)
            left = left[len(taken) :]
            if self._rest == self._part_bytes:
                self._send_part()

    def store(self) -> None:
        """See ``Partial``."""
        if self._upload_id is None:
            raise FileNotFoundError(self._address["Key"])
        if self._rest:
            self._send_part()
        s3_multipart.complete(
            self._bucket, self._address, self._upload_id, self._etags, self._stored
        )
        self._upload_id = None
        with self._bucket.errors("s3:DeleteObject"):
            self._bucket.client.delete_object(**self._rest_address)

    def close(self) -> None:
        """See ``Partial``."""
        with self._file:
            if self._upload_id is None or not self._rest or not self._rest_is_new:
                return
            self._file.truncate(self._rest)
            self._file.seek(0)
            metadata = {"upload": self._upload_id, "offset": str(self._stored)}
            try:
                with self._bucket.errors("s3:PutObject"):
                    self._bucket.client.put_object(
                        **self._rest_address, Body=self._file, Metadata=metadata
                    )
            except StorageFailed as error:
                logger.warning("the last %d bytes of an upload are lost: %s", self._rest, error)

    def _resume(self, upload_id: str) -> None:
        """Find the parts and the rest of an upload, unless it has ended.

        A client that sends parts to the bucket itself may have left gaps. What is behind the first
        one is sent again.
        """
        try:
            for part in s3_multipart.parts(self._bucket, self._address, upload_id):
                if part["PartNumber"] != len(self._etags) + 1:
                    break
                self._etags.append(part["ETag"])
                self._stored += part["Size"]
        except Conflict:
            self._forget()
            return
        try:
            with self._bucket.errors("s3:GetObject"):
                found = self._bucket.client.get_object(**self._rest_address)
                metadata = {"upload": upload_id, "offset": str(self._stored)}
                with closing(found["Body"]) as body:
                    if found["Metadata"] == metadata:
                        for piece in body.iter_chunks(COPY):
                            self._append(memoryview(piece))
        except Missing:
            pass
        self._rest_is_new = False

    def _create(self) -> None:
        self._upload_id = s3_multipart.create(
            self._bucket, self._address, self._claimed, self._claim
        )
        self._claimed = self._upload_id

    def _send_part(self) -> None:
        self._file.seek(0)
        number = len(self._etags) + 1
        with self._bucket.errors("s3:PutObject"), s3_multipart.conflicts():
            answer = self._bucket.client.upload_part(
                **self._address, UploadId=self._upload_id, PartNumber=number, Body=self._file
            )
        self._etags.append(answer["ETag"])
        self._stored += self._rest
        self._cut(0)

    def _append(self, piece: memoryview) -> None:
        """Append to the file: all of the piece, or nothing if the disk is full."""
        rest = piece
        try:
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]
        except OSError:
            self._cut(self._rest)
            raise
        self._rest += len(piece)
        self._rest_is_new = True

    def _cut(self, length: int) -> None:
        self._file.truncate(length)
        self._file.seek(length)
        self._rest_is_new = self._rest_is_new or length < self._rest
        self._rest = length

    def _forget(self) -> None:
        self._upload_id = None
        self._etags.clear()
        self._stored = 0
        self._cut(0)

    def _abort(self, upload_id: str) -> None:
        with self._bucket.errors("s3:AbortMultipartUpload"):
            s3_multipart.abort(self._bucket, self._address["Key"], upload_id)


def rest_key(key: str) -> str:
    """Return the key of the bytes that have arrived after the last part."""
    return f"{keys.PARTIAL}/{keys.segments(key)[-1]}"
