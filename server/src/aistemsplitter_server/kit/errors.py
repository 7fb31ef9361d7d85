"""Every error that the API answers with, one class per code.

ApiError
├── BadRequest             400  BAD_REQUEST           not even HTTP
├── Unauthorized           401  UNAUTHORIZED          missing, malformed, revoked or unknown
├── InsufficientCredits    402  INSUFFICIENT_CREDITS  has requiredSeconds and balanceSeconds
├── Forbidden              403  FORBIDDEN             the key lacks the scope
│   └── AccountSuspended        ACCOUNT_SUSPENDED
├── NotFound               404  NOT_FOUND             no such thing, or another account's
├── MethodNotAllowed       405  METHOD_NOT_ALLOWED
├── RequestTimeout         408  REQUEST_TIMEOUT       the body does not arrive, or too slowly
├── Conflict               409  CONFLICT
│   ├── IdempotencyInProgress   IDEMPOTENCY_IN_PROGRESS, with Retry-After
│   ├── LimitExceeded           LIMIT_EXCEEDED, has limit and maximum
│   └── ModelUnavailable        MODEL_UNAVAILABLE
├── PayloadTooLarge        413  PAYLOAD_TOO_LARGE
├── RangeNotSatisfiable    416  RANGE_NOT_SATISFIABLE
├── ValidationFailed       422  VALIDATION_ERROR      has details: field and message of each fault
│   └── IdempotencyMismatch     IDEMPOTENCY_MISMATCH
├── RateLimited            429  RATE_LIMITED, with Retry-After
├── Internal               500  INTERNAL
└── Unavailable            503  UNAVAILABLE, with Retry-After
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self


class ApiError(Exception):
    """The base of all errors that API callers see.

    Attributes:
        status: The HTTP status.
        code: The code in the API's contract.
        message: What happened, for the caller; never a secret or another exception's text.
        extra: Further keys of the error object, in camelCase, after code and message.
        headers: Headers of the response.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL"
    default_message: ClassVar[str] = "Something went wrong on our side."

    def __init__(
        self,
        message: str | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})
        super().__init__(self.message)

    @classmethod
    def example(cls) -> Self:
        """Return an example for the OpenAPI document, which derives the error's schema from it."""
        return cls()

    def envelope(self) -> dict[str, Any]:
        """Return the response body, with its keys in the contract's order."""
        error = {"code": self.code, "message": self.message, **self.extra}
        return {"success": False, "error": error}


class BadRequest(ApiError):
    """The request is not valid HTTP."""

    status, code = 400, "BAD_REQUEST"
    default_message = "This is not a valid HTTP request."


class Unauthorized(ApiError):
    """No valid key or token. The message does not reveal why one fails."""

    status, code = 401, "UNAUTHORIZED"
    default_message = "A valid API key is required: Authorization: Bearer ast_live_..."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class InsufficientCredits(ApiError):
    """The balance does not cover the cost. Both are seconds of source audio."""

    status, code = 402, "INSUFFICIENT_CREDITS"

    def __init__(self, required: int, balance: int) -> None:
        super().__init__(
            f"This needs {required} seconds of credit, but the balance is {balance}.",
            extra={"requiredSeconds": required, "balanceSeconds": balance},
        )

    @classmethod
    def example(cls) -> Self:
        """See ``ApiError``."""
        return cls(180, 42)


class Forbidden(ApiError):
    """The key is valid, but lacks the scope."""

    status, code = 403, "FORBIDDEN"
    default_message = "This API key is not allowed to do this."


class AccountSuspended(Forbidden):
    """The operator has suspended the account."""

    code = "ACCOUNT_SUSPENDED"
    default_message = "This account is suspended. Ask the operator of this service."


class NotFound(ApiError):
    """The thing does not exist, or is another account's."""

    status, code = 404, "NOT_FOUND"
    default_message = "There is no such resource."


class MethodNotAllowed(ApiError):
    """The path exists, but not with this method."""

    status, code = 405, "METHOD_NOT_ALLOWED"
    default_message = "This path does not support this method."


class RequestTimeout(ApiError):
    """The body did not arrive in time."""

    status, code = 408, "REQUEST_TIMEOUT"
    default_message = "The body of the request did not arrive in time. Send it again."


class Conflict(ApiError):
    """The request does not fit the current state."""

    status, code = 409, "CONFLICT"
    default_message = "This is not possible in the current state."


class IdempotencyInProgress(Conflict):
    """The first request with this key is still running."""

    code = "IDEMPOTENCY_IN_PROGRESS"
    default_message = "The first request with this Idempotency-Key is still running."

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class LimitExceeded(Conflict):
    """The account has reached one of its limits.

    Attributes:
        limit: The limit's name in the API.
        maximum: The limit's value.
    """

    code = "LIMIT_EXCEEDED"

    def __init__(self, limit: str, maximum: int, message: str) -> None:
        super().__init__(message, extra={"limit": limit, "maximum": maximum})
        self.limit = limit
        self.maximum = maximum

    @classmethod
    def example(cls) -> Self:
        """See ``ApiError``."""
        return cls(
            "queuedSplits", 1000, "The account has reached its limit of queued splits (1000)."
        )


class ModelUnavailable(Conflict):
    """The model's weights are not installed here."""

    code = "MODEL_UNAVAILABLE"
    default_message = "The weights of this model are not installed on this server."


class PayloadTooLarge(ApiError):
    """The body is over the server's limit, in bytes."""

    status, code = 413, "PAYLOAD_TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes.", extra={"limitBytes": limit})

    @classmethod
    def example(cls) -> Self:
        """See ``ApiError``."""
        return cls(1 << 20)


class RangeNotSatisfiable(ApiError):
    """The range lies outside the object."""

    status, code = 416, "RANGE_NOT_SATISFIABLE"

    def __init__(self, size: int) -> None:
        super().__init__(
            f"The object has {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )

    @classmethod
    def example(cls) -> Self:
        """See ``ApiError``."""
        return cls(1 << 20)


class ValidationFailed(ApiError):
    """Fields are invalid. The error names each of them with its fault."""

    status, code = 422, "VALIDATION_ERROR"

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__(
            "; ".join(f"{field}: {fault}" for field, fault in faults)
            or "The request is not valid.",
            extra={"details": [{"field": field, "message": fault} for field, fault in faults]},
        )

    @classmethod
    def example(cls) -> Self:
        """See ``ApiError``."""
        return cls([("colour", "is not a known field")])


class IdempotencyMismatch(ValidationFailed):
    """The key was used with another body."""

    code = "IDEMPOTENCY_MISMATCH"

    def __init__(self) -> None:
        super().__init__([("Idempotency-Key", "was used with another body")])

    @classmethod
    def example(cls) -> Self:
        """See ``ApiError``."""
        return cls()


class RateLimited(ApiError):
    """Too many requests with this key, or from this address without a valid one."""

    status, code = 429, "RATE_LIMITED"

    def __init__(self, retry_after: int, allowance: Mapping[str, str] | None = None) -> None:
        super().__init__(
            f"Too many requests. Try again in {retry_after} s.",
            headers={"Retry-After": str(retry_after), **(allowance or {})},
        )

    @classmethod
    def example(cls) -> Self:
        """See ``ApiError``."""
        return cls(17)


class Internal(ApiError):
    """An error in the service. The log has the details, under the request's id."""


class Unavailable(ApiError):
    """Something that the request needs is temporarily unavailable."""

    status, code = 503, "UNAVAILABLE"
    default_message = "The service cannot do this right now."

    def __init__(self, message: str | None = None, *, retry_after: int = 5) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)})
