"""Base classes of schemas: camelCase in JSON, snake_case in Python, keys in a fixed order."""

from __future__ import annotations

import json
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Data = TypeVar("Data")
Moment = Annotated[
    str,
    Field(examples=["2026-05-03T10:20:30.000Z"], json_schema_extra={"format": "date-time"}),
]
NextCursor = Annotated[
    str | None,
    Field(
        description="cursor of the next page; null on the last",
        examples=["01JTB3Y6M8Q4W2N7C5D9E0F1GH"],
    ),
]
EXAMPLE = "x-example"


def example(**fields: Any) -> dict[str, Any]:
    """Return the value of a model's ``json_schema_extra`` that holds an example.

    The example is passed through FastAPI as text, since FastAPI drops nulls from anything else.
    """
    return {EXAMPLE: json.dumps(fields)}


class Request(BaseModel):
    """The base of request bodies. Unknown fields and loosely typed values are errors."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", strict=True, validate_by_name=False
    )


class Response(BaseModel):
    """The base of responses."""

    # Fields with a default are always sent, so the document marks them as required.
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        json_schema_serialization_defaults_required=True,
    )


class Success(Response, Generic[Data]):
    """The envelope of every successful response."""

    success: Literal[True] = True
    data: Data
