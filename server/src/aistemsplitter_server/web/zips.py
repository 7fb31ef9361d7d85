"""All stems of a split as one zip, streamed as it is read, never whole in memory or on disk."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fastapi.responses import StreamingResponse
from zipstream import ZIP_STORED, ZipStream

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.standing import Recheck
from aistemsplitter_server.kit import filenames
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.splits import rendering
from aistemsplitter_server.splits.tables import SUCCEEDED, Split
from aistemsplitter_server.storage import headers, keys
from aistemsplitter_server.storage.interface import Missing, Storage

PIECE = 1 << 18  # bytes read at a time


def stems(split: Split, storage: Storage, database: Database) -> StreamingResponse:
    """Return the response. Its length is known in advance, so browsers show the progress.

    Raises:
        NotFound: The stems are not stored yet, or are deleted.
    """
    if split.status != SUCCEEDED or split.stored_attempt is None:
        raise NotFound("There are no stems yet.")
    check = Recheck(partial(_check_account, database, split.account_id))
    made = ZipStream(compress_type=ZIP_STORED, sized=True)  # audio does not compress further
    for name in split.stems:
        key = keys.stem(split.id, split.stored_attempt, name, split.extension)
        try:
            size = storage.info(key).size
        except Missing:
            raise NotFound("The stems have been deleted.") from None
        member = filenames.safe(rendering.filename(split, name))
        made.add(_read(storage, key, check), member, size=size)
    response_headers = {
        "Content-Length": str(len(made)),
        "Content-Disposition": headers.content_disposition(f"{rendering.title(split)}.zip"),
        "Cache-Control": "no-store",
    }
    return StreamingResponse(iter(made), media_type="application/zip", headers=response_headers)


def _read(storage: Storage, key: str, check: Recheck) -> Iterator[bytes]:
    with storage.open(key) as file:
        while piece := file.read(PIECE):
            yield piece
            check()


def _check_account(database: Database, account_id: str) -> None:
    with database.read() as session:
        standing.require_active(session, account_id)
