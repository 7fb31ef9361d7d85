"""What the service returns, as frozen dataclasses; each keeps the JSON it came from as ``raw``.

Times are aware datetimes in UTC, lengths are seconds of audio. The repr of a model shortens
presigned URLs: whoever reads a whole one can read the audio. ``to_dict`` and ``to_json`` have them
in full. As plain dataclasses the models work as fields and return types of pydantic and FastAPI.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from aistemsplitter._errors import UnexpectedResponse

SUCCEEDED = "succeeded"
FAILED = "failed"


class Serializable:
    """A dataclass that turns into plain Python values and JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by their Python names, as values that ``json`` can write.

        Times are strings in ISO 8601. ``raw``, the JSON by the API's names, is left out.
        """
        return {
            each.name: _plain(getattr(self, each.name))
            for each in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if each.name != "raw"
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return ``to_dict()`` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Serializable):
        return value.to_dict()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def raw_field() -> Any:
    """Return the field that keeps a model's JSON; pydantic leaves it out as well."""
    return field(default_factory=dict, repr=False, compare=False, metadata={"exclude": True})


class StemUrls(Mapping[str, str]):
    """Stem name to presigned URL, in the server's order; read-only.

    Each URL can be fetched without credentials by any HTTP library until it expires. Read the
    split again for fresh ones.
    """

    __slots__ = ("_urls",)

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        self._urls = dict(urls or {})

    @classmethod
    def from_wire(cls, value: Any, where: str) -> StemUrls:
        """Return the URLs in a JSON object."""
        if not isinstance(value, Mapping):
            raise UnexpectedResponse(f"{where} is not an object")
        if not all(isinstance(url, str) for url in value.values()):
            raise UnexpectedResponse(f"{where} contains a value that is not a URL")
        return cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let pydantic read and write an object of strings."""
        from pydantic_core import core_schema  # only pydantic calls this

        urls = core_schema.dict_schema(core_schema.str_schema(), core_schema.str_schema())
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.no_info_before_validator_function(_as_dict, urls),
            serialization=core_schema.plain_serializer_function_ser_schema(
                dict, return_schema=urls
            ),
        )

    def __getitem__(self, stem: str) -> str:
        return self._urls[stem]

    def __iter__(self) -> Iterator[str]:
        return iter(self._urls)

    def __len__(self) -> int:
        return len(self._urls)

    def __repr__(self) -> str:
        shown = (f"{stem!r}: {_shortened(url)!r}" for stem, url in self._urls.items())
        return f"StemUrls({{{', '.join(shown)}}})"


def _as_dict(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _shortened(url: str) -> str:
    """Return a URL without what may be a signature: its host and file name."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "..."
    folder, _, name = parts.path.rpartition("/")
    host = parts.netloc.rpartition("@")[2]
    return (
        f"{parts.scheme}://{host}{'/...' if folder else ''}/{name}{'?...' if parts.query else ''}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits(Serializable):
    """The account's balance; one credit is one second of source audio."""

    balance: int
    unit: str = "seconds"
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo(Serializable):
    """Why a split failed."""

    code: str
    message: str = ""
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitJob(Serializable):
    """A split that was just submitted: it has its id and waits in the queue."""

    id: str
    status: str
    credits_used: int = 0
    created_at: datetime | None = None
    raw: Mapping[str, Any] = raw_field()

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Serializable):
    """The current state of a split. Hashes by its id.

    Attributes:
        status: ``queued``, ``processing``, ``succeeded`` or ``failed``; a newer server may have
            others.
        duration_seconds: length of the source, 0 until known.
        credits_used: seconds charged, 0 until known.
        stems: stem name to presigned URL; empty until the split has succeeded.
        error: why the split failed, None otherwise.
        progress: from 0 to 1, None where the server does not report it.
        queue_position: number of splits ahead, None where the server does not report it.
        served_by: name of the model that ran, also where the request named an alias.
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
    raw: Mapping[str, Any] = raw_field()

    @property
    def succeeded(self) -> bool:
        """True once the stems can be downloaded."""
        return self.status == SUCCEEDED

    @property
    def failed(self) -> bool:
        """True if the split ended without stems; ``error`` says why."""
        return self.status == FAILED

    @property
    def done(self) -> bool:
        """True once the split has succeeded or failed."""
        return self.succeeded or self.failed

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedSplit(Serializable):
    """A split whose audio was deleted."""

    id: str
    deleted: bool = True
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUpload(Serializable):
    """A presigned request that uploads the bytes straight to the storage."""

    url: str = field(repr=False)
    method: str = "PUT"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    raw: Mapping[str, Any] = raw_field()

    def __hash__(self) -> int:
        return hash(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload(Serializable):
    """A reservation to upload one file of the announced length before it expires.

    Send the bytes with ``direct``, or with PUT to ``upload_url`` with ``upload_headers``; never
    send the API key along. Then submit ``audio_url``, or ``input`` as the input.

    Attributes:
        uploaded: True if an earlier call with the same idempotency key uploaded the bytes.
    """

    upload_id: str
    upload_url: str = field(repr=False)
    upload_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    direct: DirectUpload | None = None
    audio_url: str | None = field(default=None, repr=False)
    uploaded: bool = False
    raw: Mapping[str, Any] = raw_field()

    @property
    def input(self) -> dict[str, str]:
        """The value for ``create_split(input=...)`` once the bytes are uploaded."""
        return {"type": "uploaded_file", "uploadId": self.upload_id}

    def __hash__(self) -> int:
        return hash(self.upload_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Serializable):
    """A model that the server runs.

    Attributes:
        installed: True if the model can run now, None where the server does not report it.
    """

    id: str
    stems: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    installed: bool | None = None
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData(Serializable):
    """One page of splits, newest first."""

    items: tuple[Split, ...]
    next_cursor: str | None = field(default=None, metadata={"strict": True})
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProgress(Serializable):
    """Progress of one upload or download.

    Attributes:
        name: name of the stem, or of the uploaded file.
        bytes_done: bytes transferred; falls back when a transfer has to start over.
        bytes_total: length of the whole, None where the server does not announce it.
    """

    name: str
    bytes_done: int
    bytes_total: int | None = None
