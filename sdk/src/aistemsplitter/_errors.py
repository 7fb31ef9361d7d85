"""Errors raised by this package, one class per cause.

AiStemSplitterError
├── ConfigurationError         a client setting is missing or invalid, such as the key or base URL
├── ClientClosed               the client was closed before the call (also a RuntimeError)
├── NotPicklable               clients cannot be pickled or copied (also a TypeError)
├── InputError                 an argument is invalid (also a ValueError)
├── FileError                  a local file or folder cannot be read or written (also an OSError)
│   ├── FileChanged            the file changed during its upload
│   └── DiskFull               no space is left for a download
├── ConnectionFailed           no complete response: refused, reset, cut short, host not found
│   └── TLSFailed              the certificate or the TLS handshake was rejected
├── DeadlineExceeded           a time limit was reached (also a TimeoutError)
│   └── WaitTimeout            the time limit of wait_for_split; the split continues
├── UnexpectedResponse         a response that is not from this API, such as an HTML page
│   └── RedirectRefused        a redirect that would send the key or the audio elsewhere
├── APIError                   an error response of the API; has a status and a code
│   ├── Unauthorized           401  the key is missing, malformed, revoked or unknown
│   ├── InsufficientCredits    402  has required_seconds and balance_seconds
│   ├── Forbidden              403  the key lacks the scope
│   │   └── AccountSuspended        the operator has suspended the account
│   ├── NotFound               404  does not exist, or belongs to another account
│   ├── Conflict               409  upload not finished, split already done
│   │   ├── IdempotencyInProgress   the first request with this key is still being processed
│   │   ├── LimitExceeded           the account has reached a limit; has limit and maximum
│   │   └── ModelUnavailable        the model's weights are not installed on the server
│   ├── PayloadTooLarge        413  the audio exceeds the server's limit
│   ├── ValidationFailed       422  names the invalid fields
│   │   └── IdempotencyMismatch     the idempotency key was used with another body
│   ├── RateLimited            429  has retry_after
│   └── ServerError            5xx
│       └── ServiceUnavailable 503
├── SplitFailed                the split has failed; has the split and the code of the reason
├── TransferFailed             audio could not be transferred
│   ├── UploadFailed
│   └── DownloadFailed
│       └── IntegrityError     length or checksum differ from those announced
└── InvalidWebhook             not a genuine, recent webhook delivery

All of them can be pickled, together with their ``__cause__``. None contains an API key, a signature
or an exception of the HTTP library.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aistemsplitter._effects import Reply
    from aistemsplitter._models import Split


class AiStemSplitterError(Exception):
    """Base class of all errors of this package.

    Attributes:
        message: Description of the error, without the code.
        code: Error code of the service, or one of this package if the service sent none.
        status: HTTP status; None without a response.
        request_id: Request id assigned by the service; include it when you ask for help.
        retry_after: Seconds that the service asked to wait; None if it did not.
        required_seconds: Credits that the split needs, in seconds; None with other errors.
        response: Response with ``status``, ``headers`` (lower-case names), ``body``, ``text`` and
            ``json()``; None without a complete response.
    """

    default_code = "ERROR"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        required_seconds: int | None = None,
        response: Reply | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.required_seconds = required_seconds
        self.response = response

    def __str__(self) -> str:
        facts = [self.code]
        if self.status is not None:
            facts.append(f"HTTP {self.status}")
        if self.request_id is not None:
            facts.append(f"request {self.request_id}")
        return f"{self.message} ({', '.join(facts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own implementation calls the class without the keyword arguments.
        return _rebuild, (type(self), self.message), self._state()

    def _state(self) -> dict[str, Any]:
        cause = self.__cause__
        safe = isinstance(cause, (AiStemSplitterError, OSError))  # others may not be picklable
        return {**self.__dict__, **({"__cause__": cause} if safe else {})}


def _rebuild(kind: type[AiStemSplitterError], message: str) -> AiStemSplitterError:
    error = kind.__new__(kind, message)
    error.args = (message,)
    return error


class ConfigurationError(AiStemSplitterError):
    """A client setting is missing or invalid, such as the key, base URL or webhook secret."""

    default_code = "CONFIG_ERROR"


class ClientClosed(AiStemSplitterError, RuntimeError):
    """The client was closed before the call."""

    default_code = "CLIENT_CLOSED"

    def __init__(self, message: str = "the client is closed: create another one", **facts: Any):
        super().__init__(message, **facts)


class NotPicklable(AiStemSplitterError, TypeError):
    """Clients cannot be pickled or copied, because they hold an API key and open connections."""

    default_code = "NOT_PICKLABLE"


class InputError(AiStemSplitterError, ValueError):
    """An argument is invalid."""

    default_code = "INPUT_ERROR"


class FileError(AiStemSplitterError, OSError):
    """A local file or folder cannot be read or written.

    Attributes:
        errno: Error number of the operating system; None if it reported no error.
        filename: Path of the file; None if it is not known.
    """

    default_code = "FILE_ERROR"

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        cause: OSError | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        self.filename = None if path is None else os.fspath(path)
        self.errno = cause.errno if cause else None
        self.strerror = cause.strerror if cause else None
        self.__cause__ = cause

    def _state(self) -> dict[str, Any]:
        system = {"errno": self.errno, "strerror": self.strerror, "filename": self.filename}
        return {**super()._state(), **system}


class FileChanged(FileError):
    """The file changed during its upload; nothing was submitted."""

    default_code = "FILE_CHANGED"


class DiskFull(FileError):
    """No space is left on the device for a download; the partial file is deleted."""

    default_code = "DISK_FULL"


class ConnectionFailed(AiStemSplitterError):
    """No complete response: the connection was refused, reset or cut short, or the host unknown."""

    default_code = "CONNECTION_FAILED"


class TLSFailed(ConnectionFailed):
    """The server's certificate or the TLS handshake was rejected."""

    default_code = "TLS_FAILED"


class DeadlineExceeded(AiStemSplitterError, TimeoutError):
    """The time limit of a call, or of one of its phases, was reached."""

    default_code = "TIMEOUT"


class WaitTimeout(DeadlineExceeded):
    """The time limit of ``wait_for_split`` was reached; the split continues.

    Attributes:
        split_id: Id of the split, for another ``wait_for_split(error.split_id)``.
    """

    default_code = "WAIT_TIMEOUT"

    def __init__(self, message: str, *, split_id: str) -> None:
        super().__init__(message)
        self.split_id = split_id


class UnexpectedResponse(AiStemSplitterError):
    """The response is not from this API: an HTML page, for example, or JSON of another shape."""

    default_code = "UNEXPECTED_RESPONSE"


class RedirectRefused(UnexpectedResponse):
    """A redirect was not followed, because it would send the key or the audio elsewhere."""

    default_code = "REDIRECT_REFUSED"


class APIError(AiStemSplitterError):
    """Error response of the API.

    Attributes:
        details: JSON of the response's ``error`` object.
    """

    default_code = "API_ERROR"

    def __init__(self, message: str, *, details: dict[str, Any] | None = None, **facts: Any):
        super().__init__(message, **facts)
        self.details = details or {}


class Unauthorized(APIError):
    """401: the key is missing, malformed, revoked or unknown."""

    default_code = "UNAUTHORIZED"


class InsufficientCredits(APIError):
    """402: the balance does not cover the split; the message names the missing seconds.

    Attributes:
        required_seconds: Seconds that the split needs; None if the service did not say.
        balance_seconds: Seconds that the account has; None if the service did not say.
    """

    default_code = "INSUFFICIENT_CREDITS"

    def __init__(self, message: str, *, balance_seconds: int | None = None, **facts: Any):
        super().__init__(message, **facts)
        self.balance_seconds = balance_seconds


class Forbidden(APIError):
    """403: the key lacks the scope."""

    default_code = "FORBIDDEN"


class AccountSuspended(Forbidden):
    """403: the operator of the service has suspended the account."""

    default_code = "ACCOUNT_SUSPENDED"


class NotFound(APIError):
    """404: the split or upload does not exist, or belongs to another account."""

    default_code = "NOT_FOUND"


class Conflict(APIError):
    """409: the upload is not finished, or the split is already done."""

    default_code = "CONFLICT"


class IdempotencyInProgress(Conflict):
    """409: the first request with this idempotency key is still being processed."""

    default_code = "IDEMPOTENCY_IN_PROGRESS"


class LimitExceeded(Conflict):
    """409: the account has reached one of its limits; the message names it and the way out.

    Limits: ``storedBytes``, ``openUploads``, ``queuedSplits``, ``queuedTestSplits``, ``keys`` and
    ``streams``.
    """

    default_code = "LIMIT_EXCEEDED"

    @property
    def limit(self) -> str | None:
        """Name of the limit."""
        limit = self.details.get("limit")
        return limit if isinstance(limit, str) else None

    @property
    def maximum(self) -> int | None:
        """Value of the limit."""
        maximum = self.details.get("maximum")
        return maximum if type(maximum) is int else None


class ModelUnavailable(Conflict):
    """409: the model's weights are not installed on the server."""

    default_code = "MODEL_UNAVAILABLE"


class PayloadTooLarge(APIError):
    """413: the audio or the request exceeds the server's limit."""

    default_code = "PAYLOAD_TOO_LARGE"


class ValidationFailed(APIError):
    """422: the request is invalid; the message names every invalid field."""

    default_code = "VALIDATION_ERROR"


class IdempotencyMismatch(ValidationFailed):
    """422: this idempotency key was used with another body."""

    default_code = "IDEMPOTENCY_MISMATCH"


class RateLimited(APIError):
    """429: too many requests; ``retry_after`` is the number of seconds to wait."""

    default_code = "RATE_LIMITED"


class ServerError(APIError):
    """5xx: the service, or a proxy in front of it, failed."""

    default_code = "INTERNAL"


class ServiceUnavailable(ServerError):
    """503: the service is temporarily unavailable."""

    default_code = "UNAVAILABLE"


class SplitFailed(AiStemSplitterError):
    """The split has failed; its charge is refunded.

    ``code`` is the reason, such as INPUT_UNREACHABLE, UNSUPPORTED_MEDIA or CANCELED.

    Attributes:
        split: State of the split, with its ``error``.
    """

    default_code = "SPLIT_FAILED"

    def __init__(self, message: str, *, split: Split, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.split = split


class TransferFailed(AiStemSplitterError):
    """Audio could not be uploaded or downloaded."""

    default_code = "TRANSFER_FAILED"


class UploadFailed(TransferFailed):
    """The storage did not accept the upload; nothing was submitted."""

    default_code = "UPLOAD_FAILED"


class DownloadFailed(TransferFailed):
    """A stem could not be downloaded."""

    default_code = "DOWNLOAD_FAILED"


class IntegrityError(DownloadFailed):
    """A download's length or checksum differs from the announced one."""

    default_code = "INTEGRITY_ERROR"


class InvalidWebhook(AiStemSplitterError):
    """Not a genuine, recent webhook delivery: unsigned, changed, too old or malformed."""

    default_code = "INVALID_WEBHOOK"
