"""Schemas of uploads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from aistemsplitter_server.kit.schemas import Moment, NextCursor, Request, Response, example

MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[ -~]*)?$"


class ReserveUpload(Request):
    """A file that is about to be uploaded."""

    filename: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(
        examples=["song.mp3"]
    )
    content_type: Annotated[str, StringConstraints(max_length=200, pattern=MEDIA_TYPE)] = Field(
        examples=["audio/mpeg"]
    )
    content_length: int = Field(ge=1, description="bytes", examples=[4_200_000])


class DirectUpload(Response):
    """The request that uploads the bytes, to be sent with exactly these headers."""

    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str]


class Reservation(Response):
    """A reserved upload. Send the file's bytes as ``direct`` says.

    Without ``Direct-Upload`` in the request, they may also be sent to ``uploadUrl`` by POST.
    """

    model_config = ConfigDict(
        json_schema_extra=example(
            uploadId="upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH",
            uploadUrl="https://stems.example/uploads/upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH?...",
            uploadHeaders={"Content-Type": "audio/mpeg"},
            expiresAt="2026-05-03T11:20:30.000Z",
            direct={
                "method": "PUT",
                "url": "https://stems.example/uploads/upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH?...",
                "headers": {"Content-Type": "audio/mpeg"},
            },
            audioUrl="https://stems.example/uploads/upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH",
            uploaded=False,
            resumable=True,
            partsUrl=None,
        )
    )

    upload_id: str
    upload_url: str
    upload_headers: dict[str, str]
    expires_at: Moment = Field(description="when the upload URL expires")
    direct: DirectUpload
    audio_url: str = Field(description="URL to pass as the input.url of a split")
    uploaded: bool = Field(
        description="true if the bytes have arrived, as after a repeated Idempotency-Key"
    )
    resumable: bool = Field(
        description="false if the URL is that of the object storage, which takes the whole file in"
        " one PUT; true if it takes parts with Content-Range"
    )
    parts_url: str | None = Field(
        description="URL whose POST returns where to send the parts of a large file in the object"
        " storage; null if the bytes must be sent as direct says"
    )


class UploadPart(Response):
    """The presigned PUT of one part, to be sent without further headers."""

    start: int = Field(description="where the part begins in the file", examples=[0])
    length: int = Field(description="bytes", examples=[8_388_608])
    url: str


class UploadParts(Response):
    """The parts of a large file that the object storage has not received yet."""

    uploaded: bool = Field(description="true if the whole file has arrived", examples=[False])
    missing_bytes: int = Field(
        description="bytes of all parts that have not arrived", examples=[125_829_120]
    )
    parts: list[UploadPart] = Field(description="the next of them, to be sent in any order")


class Uploaded(Response):
    """A file whose bytes have all arrived."""

    url: str = Field(
        description="URL to pass as the input.url of a split",
        examples=["https://stems.example/uploads/upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH"],
    )
    key: str = Field(examples=["uploads/01JTB3Y6M8Q4W2N7C5D9E0F1GH"])


class UploadFault(Response):
    """The reason why an uploaded file cannot be split."""

    code: str = Field(examples=["UNSUPPORTED_MEDIA"])
    message: str


class UploadInfo(Response):
    """A reserved or uploaded file."""

    model_config = ConfigDict(
        json_schema_extra=example(
            uploadId="upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH",
            filename="song.mp3",
            contentType="audio/mpeg",
            contentLength=4_200_000,
            uploaded=True,
            durationSeconds=179.4,
            sampleRate=44100,
            error=None,
            createdAt="2026-05-03T10:20:30.000Z",
            expiresAt="2026-05-06T10:21:40.000Z",
            audioUrl="https://stems.example/uploads/upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH",
        )
    )

    upload_id: str
    filename: str
    content_type: str
    content_length: int = Field(description="bytes")
    uploaded: bool = Field(description="true if all bytes have arrived")
    duration_seconds: float | None = Field(description="null until the file is measured")
    sample_rate: int | None = Field(description="null until the file is measured")
    error: UploadFault | None = Field(description="why it cannot be split")
    created_at: Moment
    expires_at: Moment = Field(
        description="when the upload URL expires; when the file will be deleted once it is uploaded"
    )
    audio_url: str = Field(description="URL to pass as the input.url of a split")


class UploadPage(Response):
    """A page of uploads, newest first."""

    items: list[UploadInfo]
    next_cursor: NextCursor


class DeletedUpload(Response):
    """An upload that was deleted."""

    upload_id: str = Field(examples=["upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH"])
    deleted: Literal[True] = True
