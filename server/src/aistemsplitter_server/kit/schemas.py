"""Shapes on the wire: camelCase outside, snake_case inside, keys in the contract's order."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Data = TypeVar("Data")


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

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """``Success[Credits]`` is ``CreditsResponse`` in the API's document."""
        items = get_args(params[0])  # of a list
        return f"{items[0].__name__}ListResponse" if items else f"{params[0].__name__}Response"
