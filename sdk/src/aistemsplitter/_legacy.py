"""The client of version 0.1, for programs that were written for it. Deprecated.

It has the names, arguments and results (plain dictionaries) of 0.1.1 and uses the current client
underneath. New programs use ``AiStemSplitter``.
"""

from __future__ import annotations

import json
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from aistemsplitter._client import AiStemSplitter
from aistemsplitter._core import call
from aistemsplitter._effects import Body, Failure, Operation, Reply, Request, send
from aistemsplitter._effects import Transport as CurrentTransport
from aistemsplitter._errors import (
    AiStemSplitterError,
    APIError,
    ConfigurationError,
    UnexpectedResponse,
)
from aistemsplitter._failures import error_from_failure, error_from_reply
from aistemsplitter._paths import split_path
from aistemsplitter._settings import DEFAULT_BASE_URL

T = TypeVar("T")
#: JSON object as the service sent it.
Data: TypeAlias = dict[str, Any]
#: Function from a request's method, URL, headers and body to a response's status, headers and body.
Transport: TypeAlias = Callable[
    [str, str, dict[str, str], bytes | None], tuple[int, dict[str, str], Data | bytes | str]
]
Sleep: TypeAlias = Callable[[float], None]

__all__ = ["DEFAULT_BASE_URL", "AIStemSplitter", "AIStemSplitterError", "Sleep", "Transport"]


class AIStemSplitterError(AiStemSplitterError):
    """Any error of the client of version 0.1.

    Attributes:
        status_code: HTTP status; 0 if no response arrived.
        details: JSON of the error response; None without one.
    """

    def __init__(self, message: str, status_code: int, code: str, details: Any = None) -> None:
        super().__init__(message, status=status_code or None, code=code)
        self.status_code = status_code
        self.details = details

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class AIStemSplitter:
    """The client of version 0.1. Deprecated: use ``AiStemSplitter``.

    Args:
        api_key: API key.
        base_url: Base URL of the API; read from ``AISTEMSPLITTER_BASE_URL`` if omitted.
        transport: Function that answers requests in place of the network. Disables retries.
        sleep: Function that pauses between the polls of ``wait_for_split``.

    Raises:
        AIStemSplitterError: The key is missing, or a setting is invalid.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str | None = None,
        transport: Transport | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        warnings.warn(
            "AIStemSplitter is deprecated: use AiStemSplitter. See 'Upgrading from 0.1' in the"
            " documentation",
            DeprecationWarning,
            stacklevel=2,
        )
        try:
            client = AiStemSplitter(
                api_key or "",
                base_url=base_url,
                max_retries=4 if transport is None else 0,
                transport=None if transport is None else _adapted(transport),
            )
        except ConfigurationError as error:
            raise _translated(error) from error
        self.api_key = api_key
        self.base_url = client._session.base_url
        self._client = client
        self._sleep = sleep
        weakref.finalize(self, client.close)  # version 0.1 had no close()

    def get_credits(self) -> Data:
        """Return the account's balance."""
        return self._call("GET", "/credits")

    def create_upload(self, *, filename: str, content_type: str, content_length: int) -> Data:
        """Request a presigned URL for an upload and return it with its headers."""
        body = {
            "filename": filename,
            "contentType": content_type,
            "contentLength": content_length,
        }
        return self._call("POST", "/audio/uploads", body)

    def upload_audio(self, data: bytes, *, filename: str, content_type: str) -> Data:
        """Upload audio and return the upload, whose ``input`` is an input for ``create_split``."""
        reserved = self.create_upload(
            filename=filename, content_type=content_type, content_length=len(data)
        )
        headers = {**reserved["uploadHeaders"], "Content-Type": content_type}
        stored = self._run(self._send(reserved["uploadUrl"], headers, data))
        file = {
            "uploadId": reserved["uploadId"],
            "fileUrl": stored["url"],
            "storageKey": stored["key"],
        }
        source = {"type": "uploaded_file", **file}
        return {**file, "expiresAt": reserved["expiresAt"], "input": source}

    def create_split(
        self, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Data:
        """Submit a split and return its id and status.

        Args:
            request: Body of ``POST /audio/splits``.
            idempotency_key: Key under which a repeated call returns the same split; a random one
                if omitted.
        """
        # Without a key, a retry after a lost response would create and charge a second split.
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._call("POST", "/audio/splits", request, headers)

    def get_split(self, split_id: str) -> Data:
        """Return the current state of a split."""
        return self._call("GET", split_path(split_id))

    def wait_for_split(self, split_id: str, *, timeout: float = 300, interval: float = 2) -> Data:
        """Poll until the split has succeeded or failed, and return it.

        Args:
            split_id: Id of the split.
            timeout: Time limit of the wait, in seconds.
            interval: Seconds between two polls.

        Raises:
            AIStemSplitterError: The time limit was reached; the code is TIMEOUT.
        """
        end = time.monotonic() + timeout
        while True:
            split = self.get_split(split_id)
            if split["status"] in ("succeeded", "failed"):
                return split
            left = end - time.monotonic()
            if left <= 0:
                raise AIStemSplitterError(f"Timed out waiting for split {split_id}", 0, "TIMEOUT")
            self._sleep(min(interval, left))

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Data:
        session = self._client._session
        data: Data = self._run(call(session, method, path, body=body, headers=headers))
        return data

    def _send(self, url: str, headers: Mapping[str, str], data: bytes) -> Operation[Data]:
        timeouts = self._client._session.timeouts
        request = Request(method="POST", url=url, headers=headers, body=data, timeouts=timeouts)
        try:
            reply = yield from send(request)
        except Failure as failure:
            raise error_from_failure(failure, request) from None
        if reply.status >= 300:
            raise error_from_reply(reply, request)
        try:
            stored: Data = json.loads(reply.body)["data"]
        except (ValueError, KeyError, TypeError):
            raise UnexpectedResponse("Upload failed", status=reply.status) from None
        return stored

    def _run(self, operation: Operation[T]) -> T:
        try:
            return self._client._run(operation)
        except AiStemSplitterError as error:
            raise _translated(error) from error


def _translated(error: AiStemSplitterError) -> AIStemSplitterError:
    """Return the error of version 0.1 that corresponds to this one."""
    details = None
    if isinstance(error, APIError) and error.details:
        details = {"success": False, "error": dict(error.details)}
    unknown = isinstance(error, UnexpectedResponse) or error.code.startswith("HTTP_")
    code = "HTTP_ERROR" if unknown else error.code
    return AIStemSplitterError(error.message, error.status or 0, code, details)


def _adapted(transport: Transport) -> CurrentTransport:
    """Convert a transport of version 0.1 to one of the current client."""

    def answer(request: Request) -> Reply:
        body = request.body
        whole = b"".join(body.chunks()) if isinstance(body, Body) else body
        headers = {name.title(): value for name, value in request.headers.items()}
        status, answered, payload = transport(request.method, request.url, headers, whole)
        if isinstance(payload, dict):
            payload = json.dumps(payload)
        content = payload.encode() if isinstance(payload, str) else payload
        return Reply(status, {name.lower(): value for name, value in answered.items()}, content)

    return answer
