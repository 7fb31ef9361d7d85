"""A bucket: its client, the addresses of its objects, and its errors in one line each."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from boto3.exceptions import S3UploadFailedError
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing, StorageFailed

STYLES = {None: "auto", True: "path", False: "virtual"}
CONNECT_SECONDS, READ_SECONDS = 10, 60
ATTEMPTS = 5  # of each request, with growing pauses between them
CONNECTIONS = 32

CREDENTIALS = "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
NO_KEY = ("404", "NoSuchKey", "NotFound")
NO_UPLOAD = "NoSuchUpload"
FULL = ("QuotaExceeded", "XMinioStorageFull", "InsufficientCapacity", "507")
NOT_OFFERED = ("NotImplemented", "MethodNotAllowed", "501", "405")
# Problem and way out, by the code that S3 answers.
KNOWN = {
    "NoSuchBucket": ("there is no {bucket}", f"create it, or correct {PREFIX}STORAGE"),
    "InvalidAccessKeyId": ("{bucket} does not know the access key", CREDENTIALS),
    "InvalidToken": ("{bucket} does not know the session token", "correct AWS_SESSION_TOKEN"),
    "SignatureDoesNotMatch": (
        "{bucket} refuses the signature, so the secret key is wrong",
        "correct AWS_SECRET_ACCESS_KEY",
    ),
    "ExpiredToken": ("the credentials of {bucket} have expired", "renew them"),
    "RequestTimeTooSkewed": (
        "this machine's clock is wrong by more than 15 minutes",
        "set the clock and run NTP",
    ),
    "AuthorizationHeaderMalformed": (
        "{bucket} is in another region",
        f"set {PREFIX}STORAGE_REGION to it",
    ),
}
ALIASES = {
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "PermanentRedirect": "AuthorizationHeaderMalformed",
    "301": "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException": "AuthorizationHeaderMalformed",
}


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and what its objects' names begin with.

    Attributes:
        client: boto3's client, which threads may share.
        prefix: Empty, or ends with a slash.
    """

    client: Any
    name: str
    prefix: str

    def address(self, key: str) -> dict[str, str]:
        """Return the parameters that name an object in a request.

        Raises:
            InvalidKey: The string is not a key.
        """
        keys.segments(key)
        return {"Bucket": self.name, "Key": self.prefix + key}

    def pages(self, operation: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of a listing.

        Raises:
            StorageFailed: The bucket cannot be listed.
        """
        pages = iter(self.client.get_paginator(operation).paginate(Bucket=self.name, **parameters))
        while True:
            with self.errors("s3:ListBucket"):
                page = next(pages, None)
            if page is None:
                return
            yield page

    @contextmanager
    def errors(self, permission: str = "") -> Iterator[None]:
        """Translate boto3's errors in the block.

        Args:
            permission: That which the block needs.

        Raises:
            Missing: There is no such object.
            StorageFailed: Any other error.
        """
        try:
            yield
        except S3UploadFailedError as error:  # boto3 wraps the error of an upload of a file
            raise self._translated(error.__context__ or error, permission) from None
        except (ClientError, BotoCoreError) as error:
            raise self._translated(error, permission) from None

    def _translated(self, error: BaseException, permission: str) -> Exception:
        bucket = f"bucket {self.name}"
        if not isinstance(error, ClientError):
            return self._unreachable(error)
        found = error.response.get("Error", {})
        code = str(found.get("Code", ""))
        code = ALIASES.get(code, code)
        if code in NO_KEY:
            return Missing(f"no such object in {bucket}")
        if code in FULL:
            return StorageFailed(errno.ENOSPC, f"{bucket} is full ({code})", "raise its quota")
        if code in KNOWN:
            problem, todo = KNOWN[code]
            return StorageFailed(errno.EACCES, problem.format(bucket=bucket), todo)
        if code in ("AccessDenied", "403", "Forbidden", "AllAccessDisabled"):
            needed = permission or "all that the documentation lists"
            problem = f"the credentials lack {needed} on {bucket}"
            return StorageFailed(errno.EACCES, problem, "allow it in their policy")
        if code in NOT_OFFERED:
            problem = f"the service of {bucket} does not offer {permission or 'this operation'}"
            return StorageFailed(errno.ENOTSUP, problem, "use a service that does")
        said = str(found.get("Message", "")).splitlines()
        message = f"{bucket} answered {code}" + (f" ({said[0]})" if said else "")
        return StorageFailed(errno.EIO, message, "see the log of the S3 service")

    def _unreachable(self, error: BaseException) -> StorageFailed:
        endpoint = self.client.meta.endpoint_url
        if isinstance(error, (ConnectionError, HTTPClientError)):
            todo = f"check that it runs, or correct {PREFIX}STORAGE_ENDPOINT"
            return StorageFailed(errno.EHOSTUNREACH, f"{endpoint} cannot be reached", todo)
        name = type(error).__name__
        if "Credential" in name or "Token" in name:
            todo = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role"
            return StorageFailed(errno.EACCES, "there are no usable AWS credentials", todo)
        reason = (str(error).splitlines() or [name])[0]
        return StorageFailed(errno.EIO, f"{endpoint}: {reason}", "see the documentation of boto3")


def bucket(address: str, settings: Settings) -> Bucket:
    """Return a bucket.

    Args:
        address: Its URL, ``s3://bucket`` or ``s3://bucket/prefix``.
    """
    name, _, prefix = address.removeprefix("s3://").strip("/").partition("/")
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": STYLES[settings.storage_path_style]},
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        tcp_keepalive=True,
        max_pool_connections=CONNECTIONS,
        # R2, GCS and others refuse boto3's own checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = Session().client(
        "s3",
        endpoint_url=settings.storage_endpoint,
        region_name=settings.storage_region,
        config=config,
    )
    return Bucket(client, name, f"{prefix}/" if prefix else "")


def code(error: ClientError) -> str:
    """Return the code of an error that S3 answered."""
    return str(error.response.get("Error", {}).get("Code", ""))
