"""The API's calls as operations: what to send, and what model the answer is."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aistemsplitter._core import Session, call, check_id, fetch
from aistemsplitter._decode import decode
from aistemsplitter._effects import Operation
from aistemsplitter._errors import Conflict, InputError, NotFound, UnexpectedResponse
from aistemsplitter._models import (
    Credits,
    DeletedSplit,
    Model,
    PageData,
    Split,
    SplitJob,
    TransferProgress,
    Upload,
)
from aistemsplitter._paths import split_path
from aistemsplitter._source import Source, content_type_of
from aistemsplitter._upload import upload

SNAKE_INPUT = {"upload_id": "uploadId", "file_url": "fileUrl", "storage_key": "storageKey"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What ``create_split`` was called with."""

    input: Source | Mapping[str, str] | None
    audio_url: str | None
    stem_model: str | None
    model: str | None
    output_format: str | None
    stems: Sequence[str] | None
    webhook_url: str | None
    metadata: Mapping[str, str] | None
    filename: str | None
    idempotency_key: str | None
    on_progress: Callable[[TransferProgress], object] | None


def create_split(session: Session, told: Submission) -> Operation[SplitJob]:
    """Upload what has to be, then submit."""
    if (told.input is None) == (told.audio_url is None):
        raise InputError("give the audio as one of input= and audio_url=")
    if told.stem_model is not None and told.model is not None:
        raise InputError("model= is the short form of stem_model=: give one of them")
    if isinstance(told.stems, str):
        raise InputError('stems= is a list of names, such as ["vocals"]')
    # Made before the first try and kept over all: what makes a retry of a billed call safe.
    own_key = session.idempotency_key if told.idempotency_key is None else told.idempotency_key
    key = str(uuid.uuid4()) if own_key is None else own_key
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= 255 and key == key.strip()):
        raise InputError("an idempotency key has 1 to 255 printable ASCII characters")
    session = session.within(session.timeouts.total)  # one deadline for upload and submission
    wire = {
        "input": (yield from _input(session, told, own_key)),
        "stemModel": told.stem_model or told.model,
        "outputFormat": told.output_format,
        "stems": None if told.stems is None else [*told.stems],
        "webhookUrl": told.webhook_url,
        "metadata": None if told.metadata is None else dict(told.metadata),
    }
    answer = yield from call(
        session,
        "POST",
        "/audio/splits",
        body={name: value for name, value in wire.items() if value is not None},
        headers={"Idempotency-Key": key},
    )
    return decode(SplitJob, answer)


def _input(session: Session, told: Submission, own_key: str | None) -> Operation[dict[str, str]]:
    source = told.input
    if source is None:
        return {"type": "direct_url", "url": told.audio_url or ""}
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return {"type": "direct_url", "url": source}
    if isinstance(source, Mapping):
        wire = cast("Mapping[str, str]", source)
        return {SNAKE_INPUT.get(name, name): value for name, value in wire.items()}
    reserved = yield from upload(
        session,
        create_upload,
        source,
        filename=told.filename,
        key=own_key,
        on_progress=told.on_progress,
    )
    return reserved.input


def create_upload(
    session: Session,
    filename: str,
    content_length: int,
    content_type: str | None,
    idempotency_key: str | None = None,
) -> Operation[Upload]:
    """Reserve the upload of one file."""
    answer = yield from call(
        session,
        "POST",
        "/audio/uploads",
        body={
            "filename": filename,
            "contentType": content_type or content_type_of(filename),
            "contentLength": content_length,
        },
        headers={} if idempotency_key is None else {"Idempotency-Key": idempotency_key},
    )
    return decode(Upload, answer)


def get_split(session: Session, split_id: str) -> Operation[Split]:
    """Read a split."""
    return check_id((yield from fetch(session, Split, "GET", split_path(split_id))), split_id)


def list_splits(
    session: Session, limit: int | None, cursor: str | None, status: str | None
) -> Operation[PageData]:
    """Read one page."""
    query = {"limit": limit, "cursor": cursor, "status": status}
    answer = yield from call(
        session,
        "GET",
        "/audio/splits",
        query={name: value for name, value in query.items() if value is not None},
    )
    return decode(PageData, answer)


def cancel_split(session: Session, split_id: str) -> Operation[Split]:
    """Cancel; a retry that finds its own first try done has succeeded too."""
    try:
        split = yield from fetch(session, Split, "POST", split_path(split_id) + "/cancel")
        return check_id(split, split_id)
    except Conflict as conflict:
        refused = conflict
    split = yield from get_split(session, split_id)
    if split.error is not None and split.error.code == "CANCELED":
        return split
    raise refused


def delete_split(session: Session, split_id: str) -> Operation[DeletedSplit]:
    """Delete; a retry that finds its own first try done has succeeded too."""
    answer = yield from call(session, "DELETE", split_path(split_id), settled=NotFound)
    return decode(DeletedSplit, answer or {"id": split_id, "deleted": True})


def get_credits(session: Session) -> Operation[Credits]:
    """Read the balance."""
    return fetch(session, Credits, "GET", "/credits")


def models(session: Session) -> Operation[tuple[Model, ...]]:
    """Read the models that the server runs."""
    told = yield from call(session, "GET", "/models")
    if isinstance(told, Mapping):  # a list may grow a frame, such as for paging
        told = told.get("items", told.get("models"))
    if not isinstance(told, list):
        raise UnexpectedResponse("data holds no list of models")
    return tuple(decode(Model, item, f"data[{index}]") for index, item in enumerate(told))
