"""Every error this package raises, one class per cause.

AiStemSplitterError
├── ConfigurationError         the client was set up wrongly: no key, a malformed key or base URL
├── ClientClosed               the client was closed before the call (also a RuntimeError)
├── NotPicklable               a client cannot be pickled or copied (also a TypeError)
├── InputError                 an argument cannot be used (also a ValueError)
├── FileError                  a local file or folder: missing, no permission (also an OSError)
│   ├── FileChanged            it changed while it was being uploaded
│   └── DiskFull               no space left for a download
├── ConnectionFailed           no whole answer came: refused, reset, cut short, name not found
│   └── TLSFailed              the certificate or the handshake was not accepted
├── DeadlineExceeded           out of time (also a TimeoutError)
│   └── WaitTimeout            wait_for_split gave up waiting; the job goes on
├── UnexpectedResponse         an answer, but not this API's: a page of HTML, another JSON
│   └── RedirectRefused        a redirect that would have taken the key or the audio elsewhere
├── APIError                   the service said no; has a status and the service's code
│   ├── Unauthorized           401  the key is missing, malformed, revoked or unknown
│   ├── InsufficientCredits    402  has required_seconds and balance_seconds
│   ├── Forbidden              403  the key lacks the scope
│   │   └── AccountSuspended        the operator has suspended the account
│   ├── NotFound               404  no such thing, or another account's
│   ├── Conflict               409  upload not finished, split already finished
│   │   ├── IdempotencyInProgress   the first request with this key is still running
│   │   ├── LimitExceeded           the account has reached a limit; has limit and maximum
│   │   └── ModelUnavailable        the model's weights are not installed on the server
│   ├── PayloadTooLarge        413
│   ├── ValidationFailed       422  names the fields that are wrong
│   │   └── IdempotencyMismatch     the idempotency key was used with another body
│   ├── RateLimited            429  has retry_after
│   └── ServerError            5xx
│       └── ServiceUnavailable 503
├── SplitFailed                the split ended as failed; has the split and its code
├── TransferFailed             audio did not get through
│   ├── UploadFailed
│   └── DownloadFailed
│       └── IntegrityError     what arrived is not what was announced: length or checksum
└── InvalidWebhook             not a genuine, fresh delivery of this service

All of them pickle, together with their ``__cause__``. None carries a key, a signature or an
exception of the HTTP library.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aistemsplitter._effects import Reply
    from aistemsplitter._models import Split


class AiStemSplitterError(Exception):
    """Base of all errors of this package.

    Attributes:
        message: what happened, in words.
        code: the service's code where it gave one, otherwise one of this package; upper case.
        status: HTTP status, None where no answer came.
        request_id: the service's name for the request; quote it when asking for help.
        retry_after: seconds the service asked to wait, None where it did not.
        required_seconds: seconds of credit the split needs, only with INSUFFICIENT_CREDITS.
        response: the answer, with its ``status``, ``headers`` (names in lower case), ``body``,
            ``text`` and ``json()``; None where no whole answer came.
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
        # Exception's own way calls the class with the message alone and forgets the keywords.
        return _rebuild, (type(self), self.message), self._state()

    def _state(self) -> dict[str, Any]:
        cause = self.__cause__
        safe = isinstance(cause, (AiStemSplitterError, OSError))  # others need not pickle
        return {**self.__dict__, **({"__cause__": cause} if safe else {})}


def _rebuild(kind: type[AiStemSplitterError], message: str) -> AiStemSplitterError:
    error = kind.__new__(kind, message)
    error.args = (message,)
    return error


class ConfigurationError(AiStemSplitterError):
    """The client was set up wrongly: no key, a malformed key or base URL, no webhook secret."""

    default_code = "CONFIG_ERROR"


class ClientClosed(AiStemSplitterError, RuntimeError):
    """The client was closed before the call."""

    default_code = "CLIENT_CLOSED"


class NotPicklable(AiStemSplitterError, TypeError):
    """A client cannot be pickled or copied, because it holds an API key and open connections."""

    default_code = "NOT_PICKLABLE"


class InputError(AiStemSplitterError, ValueError):
    """An argument cannot be used as it is."""

    default_code = "INPUT_ERROR"


class FileError(AiStemSplitterError, OSError):
    """A local file or folder cannot be read or written.

    Attributes:
        errno: the system's error number, None where the system reported no error.
        filename: path of the file, None where it is not known.
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
    """A file changed while it was being uploaded; nothing was submitted."""

    default_code = "FILE_CHANGED"


class DiskFull(FileError):
    """No space left on the device for a download; the part that had come is deleted."""

    default_code = "DISK_FULL"


class ConnectionFailed(AiStemSplitterError):
    """No whole answer came: refused, reset, cut short, or the name was not found."""

    default_code = "CONNECTION_FAILED"


class TLSFailed(ConnectionFailed):
    """The server's certificate or the TLS handshake was not accepted."""

    default_code = "TLS_FAILED"


class DeadlineExceeded(AiStemSplitterError, TimeoutError):
    """The call's total deadline or one of its phases ran out of time."""

    default_code = "TIMEOUT"


class WaitTimeout(DeadlineExceeded):
    """The wait ran out of time; the job goes on.

    Attributes:
        split_id: to pick it up again with ``wait_for_split(error.split_id)``.
    """

    default_code = "WAIT_TIMEOUT"

    def __init__(self, message: str, *, split_id: str) -> None:
        super().__init__(message)
        self.split_id = split_id


class UnexpectedResponse(AiStemSplitterError):
    """An answer came, but not one of this API: a page of HTML, or a JSON of another shape."""

    default_code = "UNEXPECTED_RESPONSE"


class RedirectRefused(UnexpectedResponse):
    """A redirect was not followed, because it would have taken the key or the audio elsewhere."""

    default_code = "REDIRECT_REFUSED"


class APIError(AiStemSplitterError):
    """The service said no.

    Attributes:
        details: what else the service's ``error`` object holds, by its names on the wire.
    """

    default_code = "API_ERROR"

    def __init__(self, message: str, *, details: dict[str, Any] | None = None, **facts: Any):
        super().__init__(message, **facts)
        self.details = details or {}


class Unauthorized(APIError):
    """401: the key is missing, malformed, revoked or unknown."""

    default_code = "UNAUTHORIZED"


class InsufficientCredits(APIError):
    """402: the balance does not cover the split; the message names the seconds missing.

    Attributes:
        required_seconds: what the split needs, None where the service did not say.
        balance_seconds: what the account has, None where the service did not say.
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
    """404: there is no such thing, or it is another account's."""

    default_code = "NOT_FOUND"


class Conflict(APIError):
    """409: the upload is not finished, or the split already is."""

    default_code = "CONFLICT"


class IdempotencyInProgress(Conflict):
    """409: the first request with this idempotency key is still running."""

    default_code = "IDEMPOTENCY_IN_PROGRESS"


class LimitExceeded(Conflict):
    """409: the account has reached one of its limits; the message says which, and what helps.

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
        """What the account may have at once."""
        maximum = self.details.get("maximum")
        return maximum if type(maximum) is int else None


class ModelUnavailable(Conflict):
    """409: the model's weights are not installed on the server."""

    default_code = "MODEL_UNAVAILABLE"


class PayloadTooLarge(APIError):
    """413: over the server's limit."""

    default_code = "PAYLOAD_TOO_LARGE"


class ValidationFailed(APIError):
    """422: the message names every field that is wrong."""

    default_code = "VALIDATION_ERROR"


class IdempotencyMismatch(ValidationFailed):
    """422: this idempotency key was used with another body."""

    default_code = "IDEMPOTENCY_MISMATCH"


class RateLimited(APIError):
    """429: too many requests; ``retry_after`` says for how many seconds."""

    default_code = "RATE_LIMITED"


class ServerError(APIError):
    """5xx: the service, or something on the way to it, failed."""

    default_code = "INTERNAL"


class ServiceUnavailable(ServerError):
    """503: not now."""

    default_code = "UNAVAILABLE"


class SplitFailed(AiStemSplitterError):
    """The split ended as failed; what was charged is given back.

    ``code`` is the split's own, such as INPUT_UNREACHABLE, UNSUPPORTED_MEDIA or CANCELED.

    Attributes:
        split: the split as the service told it.
    """

    default_code = "SPLIT_FAILED"

    def __init__(self, message: str, *, split: Split, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.split = split


class TransferFailed(AiStemSplitterError):
    """Audio did not get through."""

    default_code = "TRANSFER_FAILED"


class UploadFailed(TransferFailed):
    """The storage did not take the upload; nothing was submitted."""

    default_code = "UPLOAD_FAILED"


class DownloadFailed(TransferFailed):
    """A stem could not be fetched."""

    default_code = "DOWNLOAD_FAILED"


class IntegrityError(DownloadFailed):
    """What arrived is not what was announced: its length or its checksum differs."""

    default_code = "INTEGRITY_ERROR"


class InvalidWebhook(AiStemSplitterError):
    """Not a genuine and fresh delivery of this service, or not in a form that can be read."""

    default_code = "INVALID_WEBHOOK"


BY_CODE: dict[str, type[APIError]] = {
    kind.default_code: kind
    for kind in (
        Unauthorized,
        InsufficientCredits,
        Forbidden,
        AccountSuspended,
        NotFound,
        Conflict,
        IdempotencyInProgress,
        LimitExceeded,
        ModelUnavailable,
        PayloadTooLarge,
        ValidationFailed,
        IdempotencyMismatch,
        RateLimited,
        ServerError,
        ServiceUnavailable,
    )
}
BY_STATUS: dict[int, type[APIError]] = {
    401: Unauthorized,
    402: InsufficientCredits,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    422: ValidationFailed,
    429: RateLimited,
    503: ServiceUnavailable,
}
