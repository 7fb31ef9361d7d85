"""Shapes on the wire: camelCase outside, snake_case inside, keys in the contract's order."""

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
EXAMPLE = "x-example"


def example(**fields: Any) -> dict[str, Any]:
    """What a model's ``json_schema_extra`` takes: one of its kind, as it is on the wire.

    It goes through FastAPI as a text, for from anything else that would drop every null.
    """
    return {EXAMPLE: json.dumps(fields)}


class Request(BaseModel):
    """Base of all request bodies: unknown fields and loosely typed values are errors."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", strict=True, validate_by_name=False
    )


class Response(BaseModel):
    """Base of all answers."""

    # What has a default is there all the same, so the API's document calls it required.
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        json_schema_serialization_defaults_required=True,
    )


class Success(Response, Generic[Data]):
    """What every successful answer is wrapped in."""

    success: Literal[True] = True
    data: Data
