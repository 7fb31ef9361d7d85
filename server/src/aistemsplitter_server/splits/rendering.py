"""Splits as the API and webhooks show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import PurePath

from aistemsplitter_server.kit import filenames, times
from aistemsplitter_server.splits import analysis
from aistemsplitter_server.splits.schemas import SplitError, SplitInfo, SplitJob
from aistemsplitter_server.splits.tables import SUCCEEDED, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Storage


def render(
    split: Split,
    storage: Storage,
    url_lifetime: timedelta,
    position: int | None = None,
    warnings: Sequence[str] = (),
) -> SplitInfo:
    """Return the split with fresh URLs of its stems.

    Args:
        url_lifetime: How long those URLs work.
        position: How many splits begin before it, if it is queued.
        warnings: About its place in the queue, if it is queued.
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
            "analysis": analysis.shown(split),
            "options": split.options,
            "warnings": [*split.warnings, *warnings],
            "metadata": split.split_metadata,
        }
    )


def job(split: Split) -> SplitJob:
    """Return the response to the creation of a split."""
    return SplitJob(
        id=split.id, credits_used=split.credits_used, created_at=times.to_wire(split.created_at)
    )


def stems(split: Split, storage: Storage, lifetime: timedelta) -> dict[str, str]:
    """Return fresh URLs of a split's stems; none before they are stored."""
    if split.status != SUCCEEDED or split.stored_attempt is None:
        return {}
    return {
        name: storage.url(
            keys.stem(split.id, split.stored_attempt, name, split.extension),
            expires_in=lifetime,
            filename=filename(split, name),
        )
        for name in split.stems
    }


def filename(split: Split, stem: str, extension: str | None = None) -> str:
    """Return the name that a stem is saved as: a long title is cut, never the stem's name.

    Args:
        extension: By default that of the split's format.
    """
    ending = f" - {stem}.{extension or split.extension}"
    return filenames.clip(title(split), filenames.MAX_BYTES - len(ending.encode())) + ending


def title(split: Split) -> str:
    """Return the song's name without its extension."""
    return PurePath(split.filename).stem or "song"


def _expires_at(split: Split) -> str | None:
    if split.status != SUCCEEDED or split.expires_at is None:
        return None
    return times.to_wire(split.expires_at)


def _error(split: Split) -> SplitError | None:
    if split.error_code is None:
        return None
    return SplitError(code=split.error_code, message=split.error_message or "")
