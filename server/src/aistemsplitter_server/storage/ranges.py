"""Parsing ``Range`` and ``If-Range`` headers (RFC 9110, section 14).

Own code: Starlette parses them only inside FileResponse, which opens a path itself and cannot check
the account during a download. Werkzeug's parser would be a second web framework for these lines.
"""

from __future__ import annotations

import re

ONE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.ASCII)


class Unsatisfiable(Exception):
    """The range lies outside the file."""


def wanted(header: str | None, if_range: str | None, etag: str, size: int) -> range | None:
    """Return the requested bytes of a file; None for the whole file.

    A header that is malformed, in another unit, or asks for several ranges is ignored, as the RFC
    allows. So is a range of an older version of the file (``If-Range``).

    Raises:
        Unsatisfiable: The range lies outside the file.
    """
    match = ONE.fullmatch(header or "")
    if match is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = match.groups()
    if not first:
        if not last:
            return None
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return range(int(first), min(int(last) + 1, size) if last else size)
