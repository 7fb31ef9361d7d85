"""Shapes on the wire of uploads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from aistemsplitter_server.kit.schemas import Request, Response

MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[ -~]*)?$"


class ReserveUpload(Request):
    """A file that is about to be uploaded."""

    filename: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    content_type: Annotated[str, StringConstraints(max_length=200, pattern=MEDIA_TYPE)] = Field(
        examples=["audio/mpeg"]
    )
    content_length: int = Field(ge=1, description="bytes", examples=[4_200_000])


class DirectUpload(Response):
    """The request that stores the bytes."""

    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str]


class Reservation(Response):
    """The right to upload one file: its bytes go to ``uploadUrl``, by POST or PUT."""

    upload_id: str
    upload_url: str
    upload_headers: dict[str, str]
    expires_at: str = Field(description="when the right to upload ends")
    direct: DirectUpload
    audio_url: str = Field(description="as input.url of a split, it means this upload")


class Uploaded(Response):
    """A file that is there, whole."""

    url: str
    key: str
