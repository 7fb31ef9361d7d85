"""Shapes on the wire: camelCase outside, snake_case inside, keys in the contract's order."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

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

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class Success(Response, Generic[Data]):
    """What every successful answer is wrapped in."""

    success: Literal[True] = True
    data: Data
