"""The file in the body of an upload, which may be a form, as the real service accepts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message

from aistemsplitter._effects import Request
from aistemsplitter.testing._wire import Rejected

FORM = "multipart/form-data"
FORM_START = re.compile(rb"--([^\r\n]{1,70})\r\ncontent-disposition: *form-data;", re.IGNORECASE)
FORM_OVERHEAD = 1 << 14  # bytes at most that a form adds to its file
NAME = re.compile(rb'[;\s]name="?([^";\r\n]+)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Content type and length with which an upload was reserved."""

    content_type: str
    length: int


def file_of(request: Request, reserved: Reservation) -> bytes:
    """Return the file that a request uploads.

    A form is recognized by its content type. Under the reserved content type, as HTTP libraries
    send it when they are given ``uploadHeaders``, it is recognized by its first line.

    Raises:
        Rejected: The body is not the file that was reserved.
    """
    body = request.body if isinstance(request.body, bytes) else b""
    given = Message()
    given["Content-Type"] = request.headers.get("content-type", "")
    kind = given.get_content_type()
    if kind not in (FORM, reserved.content_type.partition(";")[0].strip().lower()):
        raise _wrong(f"Content-Type: must be {reserved.content_type}, as reserved")
    start = FORM_START.match(body)
    if kind == FORM:
        body = _file_in_form(body, str(given.get_boundary("")).encode())
    elif start and reserved.length < len(body) <= reserved.length + FORM_OVERHEAD:
        body = _file_in_form(body, start[1])
    if len(body) > reserved.length:
        message = f"the file is longer than {reserved.length} bytes, as reserved"
        raise Rejected(413, "PAYLOAD_TOO_LARGE", message)
    if len(body) < reserved.length:
        raise _wrong(f"body: is {reserved.length - len(body)} bytes shorter than was announced")
    return body


def _file_in_form(body: bytes, boundary: bytes) -> bytes:
    """Return the content of the form's one part that is named ``file``."""
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not boundary or len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise _wrong("body: is not a complete multipart form")
    split = [part.partition(b"\r\n\r\n") for part in parts[1:-1]]
    files = [data for head, _, data in split if (name := NAME.search(head)) and name[1] == b"file"]
    if len(files) != 1:
        raise _wrong(f"file: is {'there twice' if files else 'missing in the form'}")
    return files[0]


def _wrong(message: str) -> Rejected:
    return Rejected(422, "VALIDATION_ERROR", message)
