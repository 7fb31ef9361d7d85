"""The data that the player gets of a split, on its own page and on that of a share link."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from aistemsplitter_server.kit import filenames, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict, NotFound
from aistemsplitter_server.splits import analysis, listening, rendering
from aistemsplitter_server.splits.tables import SUCCEEDED, Listening, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing, Storage


def data(database: Database, storage: Storage, split: Split, lifetime: timedelta) -> dict[str, Any]:
    """Return the JSON for the player. Request the listening copies if that was not done yet.

    ``state`` is ``queued`` or ``failed``, with the song's name only, or ``ready``, with the index
    that ``worker/cutting.py`` wrote. Each track then has the ``url`` of its pieces, and each stem a
    ``download`` URL in the format that was asked for.

    Args:
        lifetime: How long the URLs work.

    Raises:
        Conflict: The split has not succeeded.
        NotFound: Its stems are deleted.
    """
    now = times.now()
    check_stems(split, now)
    copy = _copy(database, split, now)
    found = analysis.shown(split)
    answer: dict[str, Any] = {
        "state": copy.state,
        "title": rendering.title(split),
        "analysis": None if found is None else found.model_dump(by_alias=True),
    }
    if copy.state == listening.COPY_READY:
        answer |= _index(storage, split.id, copy.attempt)
        answer |= {
            "format": split.output_format,
            "mixFilename": filenames.safe(rendering.filename(split, "mix", "wav")),
            "urlSeconds": int(lifetime.total_seconds()),
            "expiresAt": None if split.expires_at is None else times.to_wire(split.expires_at),
        }
        downloads = rendering.stems(split, storage, lifetime)
        for track in answer["tracks"]:
            name = track["name"]
            key = keys.pieces(split.id, copy.attempt, name)
            track["url"] = storage.url(key, expires_in=lifetime, filename=f"{name}.pieces")
            track["download"] = downloads.get(name)
    return answer


def check_stems(split: Split, now: datetime) -> None:
    """Check that there are stems to play.

    Raises:
        Conflict: The split has not succeeded.
        NotFound: Its stems are deleted.
    """
    if split.status != SUCCEEDED or split.stored_attempt is None:
        raise Conflict(f"The split is {split.status}: there is nothing to play.")
    if not split.can_be_heard(now):
        raise NotFound("The stems have been deleted.")


def _copy(database: Database, split: Split, now: datetime) -> Listening:
    with database.read() as session:
        copy = session.get(Listening, split.id)
        if copy is not None and listening.is_asked_for(copy, now):
            return copy
    with database.write() as session:
        return listening.request(session, split)


def _index(storage: Storage, split_id: str, attempt: int) -> dict[str, Any]:
    try:
        with storage.open(keys.player(split_id, attempt)) as file:
            index: dict[str, Any] = json.load(file)
    except Missing:
        raise NotFound("The stems have been deleted.") from None
    return index
