"""Presigned URLs of local storage: the permission to read one object until a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import Forbidden
from aistemsplitter_server.kit.secrets import Secrets

PURPOSE = "storage-read"
SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
# the same for all reasons, so that it reveals nothing
REFUSED = "This URL is not valid or has expired."


def sign(secrets: Secrets, base_url: str, key: str, expires_at: datetime, filename: str) -> str:
    """Return a URL by which anyone can read the object. It contains no credentials."""
    expires = str(int(expires_at.timestamp()))
    query = {
        "expires": expires,
        "filename": filename,
        "signature": secrets.sign(PURPOSE, key, expires, filename),
    }
    return f"{address(base_url, key)}?{urlencode(query)}"


def verify(secrets: Secrets, key: str, query: Sequence[tuple[str, str]]) -> str:
    """Verify the query of a presigned URL and return its file name.

    Raises:
        Forbidden: The signature does not match the key, or the time is over.
    """
    given = dict(query)
    if len(query) != 3 or given.keys() != {"expires", "filename", "signature"}:
        raise Forbidden(REFUSED)
    expires, filename = given["expires"], given["filename"]
    if not secrets.signed(given["signature"], PURPOSE, key, expires, filename):
        raise Forbidden(REFUSED)
    if not SECONDS.fullmatch(expires):
        raise Forbidden(REFUSED)
    if times.now() >= datetime.fromtimestamp(int(expires), UTC):
        raise Forbidden(REFUSED)
    return filename


def address(base_url: str, key: str) -> str:
    """Return the URL of an object, without the permission to read it."""
    return f"{base_url.rstrip('/')}/storage/{quote(key)}"
