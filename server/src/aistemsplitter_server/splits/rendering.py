"""A split as the API and the webhooks show it."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import PurePath

from aistemsplitter_server.kit import filenames, times
from aistemsplitter_server.splits.schemas import SplitError, SplitInfo, SplitJob
from aistemsplitter_server.splits.tables import SUCCEEDED, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Storage


def render(
    split: Split, storage: Storage, url_lifetime: timedelta, position: int | None = None
) -> SplitInfo:
    """The split, with fresh URLs of its stems.

    Args:
        url_lifetime: of those URLs.
        position: how many begin before it, where it is queued.
    """
    return SplitInfo.model_validate(
        {
            "id": split.id,
            "status": split.status,
            "stem_model": split.stem_model,
            "filename": split.filename,
            "duration_seconds": math.ceil(split.duration_seconds),
            "credits_used": split.credits_used,
            "created_at": times.to_wire(split.created_at),
            "updated_at": times.to_wire(split.updated_at),
            "stems": stems(split, storage, url_lifetime),
            "error": _error(split),
            "progress": round(split.progress, 4),
            "queue_position": position,
            "output_format": split.output_format,
            "sample_rate": split.sample_rate,
            "expires_at": _expires_at(split),
            "served_by": split.served_by,
            "warnings": split.warnings,
            "metadata": split.split_metadata,
        }
    )


def job(split: Split) -> SplitJob:
    """What its creation is answered with."""
    return SplitJob(
        id=split.id, credits_used=split.credits_used, created_at=times.to_wire(split.created_at)
    )


def stems(split: Split, storage: Storage, lifetime: timedelta) -> dict[str, str]:
    """Fresh URLs of a split's stems, none before they are there."""
    if split.status != SUCCEEDED or split.stored_attempt is None:
        return {}
    return {
        name: storage.url(
            keys.stem(split.id, split.stored_attempt, name, split.output_format),
            expires_in=lifetime,
            filename=filename(split, name),
        )
        for name in split.stems
    }


def filename(split: Split, stem: str) -> str:
    """Return the name that a stem is saved as: a long title is cut, never the stem's name."""
    ending = f" - {stem}.{split.output_format}"
    return filenames.clip(title(split), filenames.MAX_BYTES - len(ending.encode())) + ending


def title(split: Split) -> str:
    """What the song is called, without an extension."""
    return PurePath(split.filename).stem or "song"


def _expires_at(split: Split) -> str | None:
    if split.status != SUCCEEDED or split.expires_at is None:
        return None
    return times.to_wire(split.expires_at)


def _error(split: Split) -> SplitError | None:
    if split.error_code is None:
        return None
    return SplitError(code=split.error_code, message=split.error_message or "")
