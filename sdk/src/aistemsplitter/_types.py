"""Types of the arguments of the clients' methods.

The literals list the names that this version knows. A newer or customised server may accept more:
pass such a name as ``typing.cast(StemModelName, "mymodel")``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from aistemsplitter._models import Split, SplitJob, TransferProgress
from aistemsplitter._upload_models import Upload, UploadInfo
from aistemsplitter._webhook_models import WebhookEndpoint
from aistemsplitter._webhooks import WebhookEvent

StemModelName: TypeAlias = Literal[
    "htdemucs_ft", "htdemucs", "htdemucs_6s", "htdemucs_tiny", "4s", "6s"
]
"""Models and their aliases; ``list_models()`` returns those of a server."""

OutputFormat: TypeAlias = Literal["wav", "flac", "mp3", "opus", "m4a"]
"""File formats of the stems."""

SplitStatus: TypeAlias = Literal["queued", "processing", "succeeded", "failed"]
"""States of a split, for ``list_splits(status=...)``."""

SplitId: TypeAlias = str | Split | SplitJob
"""Id of a split, or an object with an id, as returned by ``create_split`` and ``get_split``."""

UploadId: TypeAlias = str | Upload | UploadInfo
"""Id of an upload, or an object with an id, as returned by ``create_upload``."""


WebhookEndpointId: TypeAlias = str | WebhookEndpoint
"""Id of a webhook endpoint, or an object with an id, as returned by ``list_webhook_endpoints``."""

EventId: TypeAlias = str | WebhookEvent
"""Id of an event, or an object with an id, as returned by ``list_events``."""

EventType: TypeAlias = Literal["split.succeeded", "split.failed"]
"""Types of events."""


class PutTarget(TypedDict):
    """Presigned URL that takes a stem by PUT, and the headers that its signature demands."""

    url: str
    headers: NotRequired[Mapping[str, str]]


class PutUrls(TypedDict):
    """Value for ``create_split(output=...)``: presigned URLs by the names of stems."""

    type: Literal["put_urls"]
    stems: Mapping[str, PutTarget]


class SplitOptions(TypedDict, total=False):
    """Keyword arguments of ``create_split``, where they are documented."""

    stem_model: StemModelName | None
    model: StemModelName | None
    output_format: OutputFormat | None
    stems: Sequence[str] | None
    webhook_url: str | None
    output: PutUrls | None
    metadata: Mapping[str, str] | None
    filename: str | None
    idempotency_key: str | None
    on_progress: Callable[[TransferProgress], object] | None
    extra_headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
