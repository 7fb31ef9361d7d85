"""What the service tells, as frozen dataclasses; each keeps the JSON it came from as ``raw``.

Times are aware datetimes in UTC, lengths are seconds of audio. The repr of a model shows no
presigned URL: whoever reads one can read the audio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aistemsplitter._errors import UnexpectedResponse

SUCCEEDED = "succeeded"
FAILED = "failed"


class StemUrls(Mapping[str, str]):
    """Stem name to presigned URL, in the server's order; read-only.

    Each URL is fetched without credentials, by anything that speaks HTTP, until it expires. Read
    the split again for fresh ones.
    """

    __slots__ = ("_urls",)

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        self._urls = dict(urls or {})

    @classmethod
    def from_wire(cls, value: Any, where: str) -> StemUrls:
        """From the JSON object; null stands for none."""
        if not isinstance(value, Mapping):
            raise UnexpectedResponse(f"{where} is not an object")
        if not all(isinstance(url, str) for url in value.values()):
            raise UnexpectedResponse(f"{where} holds something that is not a URL")
        return cls(value)

    def __getitem__(self, stem: str) -> str:
        return self._urls[stem]

    def __iter__(self) -> Iterator[str]:
        return iter(self._urls)

    def __len__(self) -> int:
        return len(self._urls)

    def __repr__(self) -> str:
        return f"StemUrls({', '.join(self._urls)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits:
    """The account's balance; one credit is one second of source audio."""

    balance: int
    unit: str = "seconds"
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """Why a split failed."""

    code: str
    message: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitJob:
    """What a submission returns: the split has its id and waits for its turn."""

    id: str
    status: str
    credits_used: int = 0
    created_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A split as it stands.

    Attributes:
        status: ``queued``, ``processing``, ``succeeded``, ``failed``; a later server may know more.
        duration_seconds: of the source, 0 until known.
        credits_used: 0 until known.
        stems: name to presigned URL; filled exactly when it succeeded.
        error: why it failed, None otherwise.
        progress: from 0 to 1, None where the server does not tell.
        queue_position: how many are ahead, None where the server does not tell.
        served_by: the model that ran, where an alias was asked for.
    """

    id: str
    status: str
    stem_model: str | None = None
    filename: str | None = None
    duration_seconds: int = 0
    credits_used: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    stems: StemUrls = field(default_factory=StemUrls)
    error: ErrorInfo | None = None
    progress: float | None = None
    queue_position: int | None = None
    output_format: str | None = None
    sample_rate: int | None = None
    expires_at: datetime | None = None
    served_by: str | None = None
    warnings: tuple[Any, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def succeeded(self) -> bool:
        """Whether the stems are there."""
        return self.status == SUCCEEDED

    @property
    def failed(self) -> bool:
        """Whether it ended without stems; ``error`` says why."""
        return self.status == FAILED

    @property
    def done(self) -> bool:
        """Whether it will not change any more."""
        return self.succeeded or self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedSplit:
    """A split whose audio is gone."""

    id: str
    deleted: bool = True
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUpload:
    """A presigned request that puts the bytes straight into the storage."""

    url: str = field(repr=False)
    method: str = "PUT"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The right to upload one file, once, of the announced length, before it expires.

    Send the bytes with ``direct``, or with PUT to ``upload_url`` with ``upload_headers``; never
    with the API key. Then submit ``audio_url``, or ``input`` as the input.

    Attributes:
        uploaded: whether the bytes are there already, by an earlier call with the same key.
    """

    upload_id: str
    upload_url: str = field(repr=False)
    upload_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    direct: DirectUpload | None = None
    audio_url: str | None = field(default=None, repr=False)
    uploaded: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def input(self) -> dict[str, str]:
        """What to pass as ``create_split(input=...)`` once the bytes are there."""
        return {"type": "uploaded_file", "uploadId": self.upload_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that the server runs.

    Attributes:
        installed: whether its weights are there, None where the server does not tell.
    """

    id: str
    stems: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    installed: bool | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """One page of splits, newest first."""

    items: tuple[Split, ...]
    next_cursor: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProgress:
    """How far a file has got.

    Attributes:
        name: of the stem, or of the file that is uploaded.
        bytes_done: over all tries; falls back when a transfer has to start over.
        bytes_total: None where the server does not say.
    """

    name: str
    bytes_done: int
    bytes_total: int | None = None
