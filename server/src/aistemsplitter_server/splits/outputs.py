"""Schemas of places outside the service that a split's stems are delivered to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from aistemsplitter_server.kit.schemas import Request, example

MOST_HEADERS = 20
# Those of the object, by S3, GCS and Azure; none that steers the connection.
HEADER = (
    r"^(?i:content-(type|disposition|encoding|language|md5)|cache-control|expires|if-none-match"
    r"|x-(amz|goog|ms)-[a-z0-9-]+)$"
)
HeaderName = Annotated[str, StringConstraints(max_length=128, pattern=HEADER)]
HeaderValue = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[!-~]([ -~]*[!-~])?$")]


class PutTarget(Request):
    """The request that stores one stem in the customer's storage."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=8192)] = Field(
        description="presigned URL that takes a PUT",
        examples=["https://bucket.example/vocals.wav?X-Amz-Signature=..."],
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        {},
        max_length=MOST_HEADERS,
        description="headers of the object that the URL's signature demands; by default the stem's"
        " Content-Type",
    )


class PutUrls(Request):
    """Stems that are also sent to presigned URLs, once the split has succeeded."""

    model_config = ConfigDict(
        json_schema_extra=example(
            type="put_urls",
            stems={"vocals": {"url": "https://bucket.example/vocals.wav?X-Amz-Signature=..."}},
        )
    )

    type: Literal["put_urls"]
    stems: dict[str, PutTarget] = Field(min_length=1, description="by the stem's name")
