"""Python client of the AI Stem Splitter API, which splits songs into stems.

    from aistemsplitter import AiStemSplitter

    with AiStemSplitter() as client:  # the key comes from AISTEMSPLITTER_API_KEY
        job = client.create_split(input="song.mp3", stem_model="htdemucs_ft")
        result = client.wait_for_split(job.id)
        client.download_split(result, f"stems/{job.id}")

``AsyncAiStemSplitter`` has the same methods for asyncio and trio. ``aistemsplitter.testing`` has a
fake service for tests that need no server.
"""

from aistemsplitter._async_client import AsyncAiStemSplitter, AsyncStemSplitter
from aistemsplitter._client import AiStemSplitter, StemSplitter
from aistemsplitter._effects import Reply, Timeouts
from aistemsplitter._errors import (
    AccountSuspended,
    AiStemSplitterError,
    APIError,
    ClientClosed,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    DiskFull,
    DownloadFailed,
    FileChanged,
    FileError,
    Forbidden,
    IdempotencyInProgress,
    IdempotencyMismatch,
    InputError,
    InsufficientCredits,
    IntegrityError,
    InvalidWebhook,
    LimitExceeded,
    ModelUnavailable,
    NotFound,
    NotPicklable,
    PayloadTooLarge,
    RateLimited,
    RedirectRefused,
    ServerError,
    ServiceUnavailable,
    SplitFailed,
    TLSFailed,
    TransferFailed,
    Unauthorized,
    UnexpectedResponse,
    UploadFailed,
    ValidationFailed,
    WaitTimeout,
)
from aistemsplitter._legacy import AIStemSplitter, AIStemSplitterError
from aistemsplitter._models import (
    Credits,
    DeletedSplit,
    DirectUpload,
    ErrorInfo,
    Model,
    Split,
    SplitJob,
    StemUrls,
    TransferProgress,
    Upload,
)
from aistemsplitter._pages import AsyncSplitPage, AsyncSplits, SplitPage
from aistemsplitter._raw import RawResponse
from aistemsplitter._types import OutputFormat, SplitId, SplitOptions, SplitStatus, StemModelName
from aistemsplitter._version import __version__
from aistemsplitter._webhooks import EventData, WebhookEvent, verify_signature

__all__ = [
    "AIStemSplitter",
    "AIStemSplitterError",
    "APIError",
    "AccountSuspended",
    "AiStemSplitter",
    "AiStemSplitterError",
    "AsyncAiStemSplitter",
    "AsyncSplitPage",
    "AsyncSplits",
    "AsyncStemSplitter",
    "ClientClosed",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "Credits",
    "DeadlineExceeded",
    "DeletedSplit",
    "DirectUpload",
    "DiskFull",
    "DownloadFailed",
    "ErrorInfo",
    "EventData",
    "FileChanged",
    "FileError",
    "Forbidden",
    "IdempotencyInProgress",
    "IdempotencyMismatch",
    "InputError",
    "InsufficientCredits",
    "IntegrityError",
    "InvalidWebhook",
    "LimitExceeded",
    "Model",
    "ModelUnavailable",
    "NotFound",
    "NotPicklable",
    "OutputFormat",
    "PayloadTooLarge",
    "RateLimited",
    "RawResponse",
    "RedirectRefused",
    "Reply",
    "ServerError",
    "ServiceUnavailable",
    "Split",
    "SplitFailed",
    "SplitId",
    "SplitJob",
    "SplitOptions",
    "SplitPage",
    "SplitStatus",
    "StemModelName",
    "StemSplitter",
    "StemUrls",
    "TLSFailed",
    "Timeouts",
    "TransferFailed",
    "TransferProgress",
    "Unauthorized",
    "UnexpectedResponse",
    "Upload",
    "UploadFailed",
    "ValidationFailed",
    "WaitTimeout",
    "WebhookEvent",
    "__version__",
    "verify_signature",
]
