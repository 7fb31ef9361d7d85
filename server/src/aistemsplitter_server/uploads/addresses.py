"""The URLs of uploads: where to send the bytes, and what names the upload as an input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import Forbidden
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.uploads.tables import Upload

PURPOSE = "upload"
PATH = re.compile(r"/uploads/(upl_[0-9A-HJKMNP-TV-Z]{26})", re.ASCII)
# the same for all reasons, so that it reveals nothing
REFUSED = "This upload URL is not valid or has expired."


def to_read(base_url: str, upload_id: str) -> str:
    """Return the URL that names an upload as the input of a split. It serves nothing."""
    return f"{base_url}/uploads/{upload_id}"


def to_write(secrets: Secrets, base_url: str, upload: Upload) -> str:
    """Return the presigned URL to upload this file, of its length and type, until it expires."""
    return f"{to_read(base_url, upload.id)}?{_query(secrets, upload)}"


def of_parts(secrets: Secrets, base_url: str, upload: Upload) -> str:
    """Return the presigned URL that returns where to send the parts of this file."""
    return f"{to_read(base_url, upload.id)}/parts?{_query(secrets, upload)}"


def verify(secrets: Secrets, upload: Upload, query: Sequence[tuple[str, str]]) -> None:
    """Verify that the query of a presigned URL allows the upload now.

    The upload's row decides how long, since receiving bytes extends the time in the URL.

    Raises:
        Forbidden: The signature does not match, or the time is over.
    """
    given = dict(query)
    if len(query) != 2 or given.keys() != {"expires", "signature"}:
        raise Forbidden(REFUSED)
    if not secrets.signed(given["signature"], PURPOSE, *_bound(upload), given["expires"]):
        raise Forbidden(REFUSED)
    if times.now() >= upload.expires_at:
        raise Forbidden(REFUSED)


def id_in(url: str) -> str | None:
    """Return the id of the upload that a URL names; None if it is not a URL of an upload."""
    match = PATH.fullmatch(urlsplit(url).path)
    return match and match[1]


def _query(secrets: Secrets, upload: Upload) -> str:
    expires = str(int(upload.expires_at.timestamp()))
    signature = secrets.sign(PURPOSE, *_bound(upload), expires)
    return urlencode({"expires": expires, "signature": signature})


def _bound(upload: Upload) -> tuple[str, ...]:
    return upload.id, str(upload.content_length), upload.content_type
