"""Models of the API's results: frozen dataclasses that keep their JSON as ``raw``.

Times are timezone-aware datetimes, lengths are seconds of audio. The repr of a model shortens
presigned URLs, because anyone who has one can read the audio; ``to_dict`` and ``to_json`` contain
them in full. The models also work as pydantic fields and as return types in FastAPI.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from aistemsplitter._errors import UnexpectedResponse

SUCCEEDED = "succeeded"
FAILED = "failed"


class Serializable:
    """Base of the models: conversion to plain Python values and to JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by their Python names, as values that ``json.dumps`` accepts.

        Times become ISO 8601 strings. ``raw`` is left out.
        """
        return {
            each.name: _plain(getattr(self, each.name))
            for each in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if each.name != "raw"
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return ``to_dict()`` as a JSON string."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Serializable):
        return value.to_dict()
    if isinstance(value, date):  # or a datetime
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def raw_field() -> Any:
    """Return the dataclass field for a model's JSON, which pydantic excludes from its output."""
    return field(default_factory=dict, repr=False, compare=False, metadata={"exclude": True})


class StemUrls(Mapping[str, str]):
    """Read-only mapping of stem names to presigned URLs, in the server's order.

    Any HTTP library can download a URL without credentials until it expires. ``get_split`` returns
    fresh URLs.
    """

    __slots__ = ("_urls",)

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        self._urls = dict(urls or {})

    @classmethod
    def from_wire(cls, value: Any, where: str) -> StemUrls:
        """Convert a JSON object; ``where`` names it in error messages.

        Raises:
            UnexpectedResponse: The value is not an object of strings.
        """
        if not isinstance(value, Mapping):
            raise UnexpectedResponse(f"{where} is not an object")
        if not all(isinstance(url, str) for url in value.values()):
            raise UnexpectedResponse(f"{where} contains a value that is not a URL")
        return cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Return pydantic's schema: an object of strings."""
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
    """Return a URL's host and file name, without the parts that may contain a signature."""
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
    """Balance of an account; one credit is one second of source audio."""

    balance: int
    unit: str = "seconds"
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDay(Serializable):
    """Usage of one day (UTC): seconds charged and not refunded, and for how many splits."""

    day: date
    seconds: int = 0
    splits: int = 0
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Serializable):
    """Usage of an account in some days (UTC).

    Attributes:
        start: First day.
        end: Last day.
        seconds: Seconds charged and not refunded.
        splits: Number of splits that were charged and not refunded.
        days: Usage of each day, also of those without any.
        raw: JSON of the usage as the service sent it.
    """

    start: date
    end: date
    seconds: int = 0
    splits: int = 0
    days: tuple[UsageDay, ...] = ()
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo(Serializable):
    """Reason why a split failed."""

    code: str
    message: str = ""
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitJob(Serializable):
    """A split that was just submitted, with its id and status."""

    id: str
    status: str
    credits_used: int = 0
    created_at: datetime | None = None
    raw: Mapping[str, Any] = raw_field()

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis(Serializable):
    """Tempo and key of a song.

    Attributes:
        bpm: Beats per minute; None if the song has no steady pulse.
        key: Key, such as ``F# minor``; None if the song has none.
        beats_per_bar: Beats of a bar.
        first_downbeat: Seconds to the first beat of a bar.
    """

    bpm: float | None = None
    key: str | None = None
    beats_per_bar: int | None = None
    first_downbeat: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatGrid(Serializable):
    """All beats of a song.

    Attributes:
        bpm: Beats per minute.
        beats: Times of all beats in seconds.
        beats_per_bar: Beats of a bar.
        first_downbeat: Index in ``beats`` of the first beat of a bar.
        raw: JSON of the beats as the service sent it.
    """

    bpm: float
    beats: tuple[float, ...]
    beats_per_bar: int
    first_downbeat: int
    raw: Mapping[str, Any] = raw_field()

    @property
    def downbeats(self) -> tuple[float, ...]:
        """Times of the first beats of all bars in seconds."""
        return self.beats[self.first_downbeat :: self.beats_per_bar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Serializable):
    """The current state of a split. Hashes by its id.

    Attributes:
        id: Id of the split.
        status: ``queued``, ``processing``, ``succeeded`` or ``failed``; a newer server may report
            others.
        stem_model: Model name or alias that was requested.
        filename: File name of the source audio.
        duration_seconds: Length of the source audio in seconds; 0 until known.
        credits_used: Seconds charged; 0 until known.
        created_at: Time of the submission.
        updated_at: Time of the last change.
        stems: Presigned URLs by stem name; empty until the split has succeeded.
        error: Reason of the failure; None unless the split has failed.
        progress: Progress from 0 to 1; None if the server does not report it.
        queue_position: Number of splits ahead in the queue; None if the server does not report it.
        output_format: File format of the stems.
        sample_rate: Sample rate of the stems in Hz.
        expires_at: Time at which the stems are deleted.
        served_by: Name of the model that ran, even if the request named an alias.
        analysis: Tempo and key of the song; None if they are not known.
        options: Options that were passed to ``create_split``, by their names in the API.
        warnings: Remarks of the service about the result.
        metadata: Strings that were passed to ``create_split``.
        raw: JSON of the split as the service sent it.
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
    analysis: Analysis | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Any, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = raw_field()

    @property
    def succeeded(self) -> bool:
        """True once the split has succeeded and its stems can be downloaded."""
        return self.status == SUCCEEDED

    @property
    def failed(self) -> bool:
        """True if the split has failed; ``error`` has the reason."""
        return self.status == FAILED

    @property
    def done(self) -> bool:
        """True once the split has succeeded or failed."""
        return self.succeeded or self.failed

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedSplit(Serializable):
    """Confirmation that a split was deleted."""

    id: str
    deleted: bool = True
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Serializable):
    """A model of the server.

    Attributes:
        id: Name of the model.
        stems: Names of its stems.
        aliases: Other names that the server accepts for it.
        installed: True if its weights are installed; None if the server does not report it.
        raw: JSON of the model as the service sent it.
    """

    id: str
    stems: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    installed: bool | None = None
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData(Serializable):
    """Splits of one page, newest first, and the cursor of the next page."""

    items: tuple[Split, ...]
    next_cursor: str | None = field(default=None, metadata={"strict": True})
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProgress(Serializable):
    """Progress of one upload or download.

    Attributes:
        name: Name of the stem or of the uploaded file.
        bytes_done: Number of bytes transferred; it decreases when a transfer starts over.
        bytes_total: Length of the file in bytes; None if the server does not announce it.
    """

    name: str
    bytes_done: int
    bytes_total: int | None = None
