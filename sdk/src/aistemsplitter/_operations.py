"""The API's calls as operations: the request of each and the model of its response."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from aistemsplitter._core import Session, call, check_id, encode, fetch
from aistemsplitter._decode import camel, decode
from aistemsplitter._effects import Operation, blocking
from aistemsplitter._errors import Conflict, FileError, InputError, NotFound, UnexpectedResponse
from aistemsplitter._idempotency import check_key
from aistemsplitter._models import (
    BeatGrid,
    Credits,
    DeletedSplit,
    Model,
    PageData,
    Split,
    SplitJob,
    TransferProgress,
    Usage,
)
from aistemsplitter._paths import id_of, split_path, upload_id_of, upload_path
from aistemsplitter._source import Source, content_type_of
from aistemsplitter._types import PutUrls, SplitId, SplitStatus, StemOptions, UploadId
from aistemsplitter._upload import upload
from aistemsplitter._upload_models import DeletedUpload, Upload, UploadInfo, UploadPageData

SNAKE_INPUT = {"upload_id": "uploadId", "file_url": "fileUrl", "storage_key": "storageKey"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The arguments of ``create_split``."""

    input: Source | Mapping[str, str] | None
    audio_url: str | None
    stem_model: str | None
    model: str | None
    output_format: str | None
    stems: Sequence[str] | None
    webhook_url: str | None
    output: PutUrls | None
    options: StemOptions | None
    metadata: Mapping[str, str] | None
    filename: str | None
    idempotency_key: str | None
    on_progress: Callable[[TransferProgress], object] | None
    extra_body: Mapping[str, Any] | None

    def check(self) -> None:
        """Check the arguments' types and combinations.

        Raises:
            InputError: Arguments contradict each other or have the wrong type.
        """
        if (self.input is None) == (self.audio_url is None):
            raise InputError("pass the audio either as input= or as audio_url=")
        if self.stem_model is not None and self.model is not None:
            raise InputError("pass either stem_model= or its short form model=, not both")
        if self.stems is not None and (
            isinstance(self.stems, str) or not isinstance(self.stems, Sequence)
        ):
            raise InputError('stems= must be a list of names, such as ["vocals"]')
        for name, value in (
            ("options", self.options),
            ("metadata", self.metadata),
            ("extra_body", self.extra_body),
        ):
            if value is not None and not isinstance(value, Mapping):
                raise InputError(f"{name}= must be a mapping, not {type(value).__name__}")


def create_split(session: Session, submission: Submission) -> Operation[SplitJob]:
    """Upload a local input, if any, and submit the split."""
    submission.check()
    session = session.within(session.timeouts.total)  # one deadline for upload and submission
    once = None if submission.idempotency_key is None else check_key(submission.idempotency_key)
    keys = session.idempotency_keys if once is None else None
    source = yield from _input(session, submission, keys.key if keys else once)
    fields = {
        "input": source,
        "stemModel": submission.stem_model or submission.model,
        "outputFormat": submission.output_format,
        "stems": None if submission.stems is None else [*submission.stems],
        "webhookUrl": submission.webhook_url,
        "output": submission.output,
        "options": _wire_options(submission.options),
        "metadata": None if submission.metadata is None else dict(submission.metadata),
    }
    body = {name: value for name, value in fields.items() if value is not None}
    body.update(submission.extra_body or {})
    # The same key is sent with every attempt, so that a retry cannot be charged twice.
    key = keys.key_for(encode(body)) if keys else once or str(uuid.uuid4())
    return (
        yield from fetch(
            session,
            SplitJob,
            "POST",
            "/audio/splits",
            body=body,
            headers={"Idempotency-Key": key},
        )
    )


def _wire_options(options: StemOptions | None) -> dict[str, Any] | None:
    """Return options by their names in the API, without those that are None."""
    given = {camel(name): value for name, value in (options or {}).items() if value is not None}
    return given or None


def _input(
    session: Session, submission: Submission, own_key: str | None
) -> Operation[dict[str, str]]:
    source = submission.input
    if source is None:
        return {"type": "direct_url", "url": submission.audio_url or ""}
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return {"type": "direct_url", "url": source}
    if isinstance(source, Mapping):
        wire = cast("Mapping[str, str]", source)
        return {SNAKE_INPUT.get(name, name): value for name, value in wire.items()}
    reserved = yield from upload(
        session,
        reserve,
        source,
        filename=submission.filename,
        key=own_key,
        on_progress=submission.on_progress,
    )
    return reserved.input


def reserve(
    session: Session,
    filename: str,
    content_length: int,
    headers: Mapping[str, str],
    content_type: str | None = None,
    extra_body: Mapping[str, Any] | None = None,
) -> Operation[Upload]:
    """Request a presigned URL for uploading one file."""
    body = {
        "filename": filename,
        "contentType": content_type or content_type_of(filename),
        "contentLength": content_length,
        **(extra_body or {}),
    }
    return fetch(session, Upload, "POST", "/audio/uploads", body=body, headers=headers)


def presign_upload(
    session: Session,
    filename: str | os.PathLike[str],
    content_length: int | None,
    content_type: str | None,
    extra_body: Mapping[str, Any] | None,
) -> Operation[Upload]:
    """Request a presigned URL; the length is read from a local file unless it is given."""
    if not isinstance(filename, (str, os.PathLike)):
        raise InputError(f"filename= must be a name or a path, not {type(filename).__name__}")
    if content_length is None:
        path = Path(filename)
        content_length = yield from blocking(partial(_length_of, path))
        name = path.name
    else:
        name = os.fspath(filename)
    return (yield from reserve(session, name, content_length, {}, content_type, extra_body))


def _length_of(path: Path) -> int:
    try:
        found = path.stat()
    except OSError as problem:
        reason = problem.strerror or str(problem)
        message = f"{path}: cannot read its length: {reason}. Pass content_length= instead"
        raise FileError(message, path=path, cause=problem) from problem
    if path.is_dir():
        raise FileError(f"{path}: is a directory. Pass the path of a file", path=path)
    return found.st_size


def get_split(session: Session, split: SplitId) -> Operation[Split]:
    """Return the current state of a split."""
    found = yield from fetch(session, Split, "GET", split_path(split))
    return check_id(found, id_of(split))


def get_beats(session: Session, split: SplitId) -> Operation[BeatGrid]:
    """Return the beats of a split's song."""
    return fetch(session, BeatGrid, "GET", split_path(split) + "/beats")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The arguments of ``list_splits`` that select splits."""

    status: SplitStatus | None
    created_after: datetime | None
    created_before: datetime | None
    model: str | None
    metadata: Mapping[str, str] | None

    def query(self) -> dict[str, str]:
        """Return the query parameters.

        Raises:
            InputError: A time has no time zone, or ``metadata`` is not a mapping.
        """
        values = {
            "status": self.status,
            "createdAfter": _to_wire("created_after", self.created_after),
            "createdBefore": _to_wire("created_before", self.created_before),
            "model": self.model,
        }
        query: dict[str, str] = {name: value for name, value in values.items() if value is not None}
        if self.metadata is not None:
            if not isinstance(self.metadata, Mapping):
                raise InputError(f"metadata= must be a mapping, not {type(self.metadata).__name__}")
            query.update({f"metadata[{key}]": value for key, value in self.metadata.items()})
        return query


def _to_wire(name: str, moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InputError(f"{name}= must be a datetime with a time zone, such as datetime.now(UTC)")
    return moment.isoformat()


def list_splits(
    session: Session, limit: int | None, cursor: str | None, filters: Filters
) -> Operation[PageData]:
    """Return one page of the account's splits."""
    query = page_query(limit, cursor) | filters.query()
    return fetch(session, PageData, "GET", "/audio/splits", query=query)


def page_query(limit: int | None, cursor: str | None) -> dict[str, int | str]:
    """Return the query parameters of a page."""
    values = {"limit": limit, "cursor": cursor}
    return {name: value for name, value in values.items() if value is not None}


def cancel_split(session: Session, split_id: SplitId) -> Operation[Split]:
    """Cancel a split. A retry that finds it already canceled succeeds too."""
    try:
        split = yield from fetch(session, Split, "POST", split_path(split_id) + "/cancel")
        return check_id(split, id_of(split_id))
    except Conflict as conflict:
        refused = conflict
    split = yield from get_split(session, split_id)
    if split.error is not None and split.error.code == "CANCELED":
        return split
    raise refused


def delete_split(session: Session, split_id: SplitId) -> Operation[DeletedSplit]:
    """Delete a split. A retry that finds it already deleted succeeds too."""
    answer = yield from call(session, "DELETE", split_path(split_id), settled=NotFound)
    return decode(DeletedSplit, answer or {"id": id_of(split_id), "deleted": True})


def list_uploads(
    session: Session, limit: int | None, cursor: str | None
) -> Operation[UploadPageData]:
    """Return one page of the account's uploads."""
    query = page_query(limit, cursor)
    return fetch(session, UploadPageData, "GET", "/audio/uploads", query=query)


def get_upload(session: Session, upload_id: UploadId) -> Operation[UploadInfo]:
    """Return an upload."""
    return fetch(session, UploadInfo, "GET", upload_path(upload_id))


def delete_upload(session: Session, upload_id: UploadId) -> Operation[DeletedUpload]:
    """Delete an upload. A retry that finds it already deleted succeeds too."""
    answer = yield from call(session, "DELETE", upload_path(upload_id), settled=NotFound)
    return decode(DeletedUpload, answer or {"uploadId": upload_id_of(upload_id), "deleted": True})


def get_credits(session: Session) -> Operation[Credits]:
    """Return the account's balance."""
    return fetch(session, Credits, "GET", "/credits")


def get_usage(session: Session, start: date | None, end: date | None) -> Operation[Usage]:
    """Return the account's usage by day."""
    query = {}
    for name, day in (("start", start), ("end", end)):
        if day is not None:
            if not isinstance(day, date) or isinstance(day, datetime):
                raise InputError(f"{name}= must be a date, not {type(day).__name__}")
            query[name] = day.isoformat()
    return fetch(session, Usage, "GET", "/usage", query=query)


def list_models(session: Session) -> Operation[tuple[Model, ...]]:
    """Return the models that the server runs."""
    return call(session, "GET", "/models", result=_models)


def _models(data: Any) -> tuple[Model, ...]:
    if isinstance(data, Mapping):  # a later server may wrap the list, for example for paging
        data = data.get("items", data.get("models"))
    if not isinstance(data, list):
        raise UnexpectedResponse("data contains no list of models")
    return tuple(decode(Model, item, f"data[{index}]") for index, item in enumerate(data))
