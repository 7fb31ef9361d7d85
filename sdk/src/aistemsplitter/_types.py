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

OutputFormat: TypeAlias = Literal["wav", "flac", "mp3", "opus", "m4a", "aiff", "alac"]
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


class StemOptions(TypedDict, total=False):
    """Value for ``create_split(options=...)``: how the stems are computed and encoded.

    Attributes:
        bit_depth: Bits of a sample in lossless formats, 16 by default; 32, for ``wav`` only, is
            floating point.
        sample_rate: Sample rate in Hz; by default that of the song, or the next that the format
            has.
        bitrate: Bit rate of the other formats in kbit/s.
        clip: Treatment of stems that exceed full scale: ``rescale`` (default) attenuates all alike,
            ``clamp`` clips the peaks, ``none`` leaves it to the format.
        normalize: ``mixture-loudness`` multiplies all stems by the one gain that brings the song to
            -14 LUFS (EBU R128).
        precision: ``auto`` (default) computes in bf16 where that is faster; ``float32`` gives the
            samples of Demucs.
        shifts: Number of passes over the song, each shifted in time, whose stems are averaged, up
            to 10. Each costs as much as the song. 0 (default) is one pass without a shift.
        seed: Seed of the shifts; the same seed gives the same stems.
        overlap: Overlap of adjacent segments, 0 to 0.75. More than 0.25 (default) costs more: 1.5
            times as much at 0.5.
        preview_seconds: Only the first seconds of the song, 1 to 60, are separated and charged.
    """

    bit_depth: Literal[16, 24, 32]
    sample_rate: int
    bitrate: int
    clip: Literal["rescale", "clamp", "none"]
    normalize: Literal["none", "mixture-loudness"]
    precision: Literal["auto", "float32"]
    shifts: int
    seed: int
    overlap: float
    preview_seconds: int


class SplitOptions(TypedDict, total=False):
    """Keyword arguments of ``create_split``, where they are documented."""

    stem_model: StemModelName | None
    model: StemModelName | None
    output_format: OutputFormat | None
    stems: Sequence[str] | None
    webhook_url: str | None
    output: PutUrls | None
    options: StemOptions | None
    metadata: Mapping[str, str] | None
    filename: str | None
    idempotency_key: str | None
    on_progress: Callable[[TransferProgress], object] | None
    extra_headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
