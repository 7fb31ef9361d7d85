"""The URLs of uploads: where the bytes go, and what the upload is called as an input."""

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
REFUSED = "This upload URL is not valid, or not any more."  # which, is nobody's business


def to_read(base_url: str, upload_id: str) -> str:
    """What an upload is called as the input of a split; nothing is served there."""
    return f"{base_url}/uploads/{upload_id}"


def to_write(secrets: Secrets, base_url: str, upload: Upload) -> str:
    """The right to write this one object, of this length and type, until it expires."""
    expires = str(int(upload.expires_at.timestamp()))
    query = {"expires": expires, "signature": secrets.sign(PURPOSE, *_bound(upload), expires)}
    return f"{to_read(base_url, upload.id)}?{urlencode(query)}"


def verify(secrets: Secrets, upload: Upload, query: Sequence[tuple[str, str]]) -> None:
    """Verify that the URL gives the right to write this upload now.

    The right lasts as long as the upload's row says, which is longer than the URL says while
    bytes are arriving.

    Raises:
        Forbidden: it does not.
    """
    given = dict(query)
    if len(query) != 2 or given.keys() != {"expires", "signature"}:
        raise Forbidden(REFUSED)
    if not secrets.signed(given["signature"], PURPOSE, *_bound(upload), given["expires"]):
        raise Forbidden(REFUSED)
    if times.now() >= upload.expires_at:
        raise Forbidden(REFUSED)


def id_in(url: str) -> str | None:
    """The upload that a URL of ours means."""
    match = PATH.fullmatch(urlsplit(url).path)
    return match and match[1]


def _bound(upload: Upload) -> tuple[str, ...]:
    return upload.id, str(upload.content_length), upload.content_type
