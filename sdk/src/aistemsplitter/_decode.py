"""Decoding of JSON into models: camelCase keys to snake_case fields, by the fields' annotations.

Decoding is lenient, because a client may be older than its server. Unknown keys are ignored, and a
key that is missing, null or of an unexpected type takes the field's default: a field that the
caller may never read must not cost a split that is already paid for. Only required fields, stem
URLs and cursors are strict; an error names the field.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, NamedTuple, TypeVar, Union

from aistemsplitter._errors import UnexpectedResponse
from aistemsplitter._logs import logger

T = TypeVar("T")

LARGEST = 2**63  # JSON numbers are unbounded, and Python also parses Infinity


class _Field(NamedTuple):
    name: str
    key: str  # in the JSON
    hint: Any
    required: bool
    strict: bool


def camel(name: str) -> str:
    """Convert a field name to its JSON key: ``created_at`` to ``createdAt``."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def decode(model: type[T], data: Any, where: str = "data") -> T:
    """Decode a JSON object into a model; the model keeps the JSON if it has a field ``raw``.

    Args:
        model: Dataclass to create.
        data: Parsed JSON.
        where: Name of the object in error messages.

    Raises:
        UnexpectedResponse: The data is not an object, or a strict field is missing or of another
            type.
    """
    if not isinstance(data, Mapping):
        raise UnexpectedResponse(f"{where} is {_kind(data)}, not an object")
    values: dict[str, Any] = {}
    for field in _fields(model):  # type: ignore[arg-type]  # mypy on cache
        value = data.get(field.key)
        if field.name == "raw":
            values["raw"] = data
        elif value is not None:
            try:
                values[field.name] = _convert(field.hint, value, f"{where}.{field.key}")
            except UnexpectedResponse as problem:
                if field.strict:
                    raise
                logger.debug("%s; ignored", problem.message)
        elif field.required:
            raise UnexpectedResponse(f"{where}.{field.key} is missing")
    return model(**values)


@cache
def _fields(model: Any) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(model)
    found = []
    for field in dataclasses.fields(model):
        hint, missing = hints[field.name], dataclasses.MISSING
        required = field.default is missing and field.default_factory is missing
        strict = required or hasattr(hint, "from_wire") or "strict" in field.metadata
        found.append(_Field(field.name, camel(field.name), hint, required, strict))
    return tuple(found)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):  # X | None; null values are handled by decode()
        return _convert(typing.get_args(hint)[0], value, where)
    if hint is Any:
        return value
    if origin is tuple:
        _expect(isinstance(value, list), "a list", value, where)
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, one, f"{where}[{i}]") for i, one in enumerate(value))
    if origin is Mapping:
        _expect(isinstance(value, dict), "an object", value, where)
        item = typing.get_args(hint)[1]
        return {key: _convert(item, one, f"{where}.{key}") for key, one in value.items()}
    if dataclasses.is_dataclass(hint):
        return decode(hint, value, where)  # type: ignore[arg-type]
    if hint is datetime:
        return _time(value, where)
    if hint is date:
        return _day(value, where)
    if hint in (int, float):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _expect(number and abs(value) < LARGEST, "a number in range", value, where)
        return math.ceil(value) if hint is int else float(value)  # seconds round up
    if hint is str or hint is bool:
        _expect(isinstance(value, hint), "a string" if hint is str else "a boolean", value, where)
        return value
    return hint.from_wire(value, where)


def _time(value: Any, where: str) -> datetime:
    _expect(isinstance(value, str), "a time", value, where)
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise UnexpectedResponse(f"{where} is not a time in ISO 8601") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _day(value: Any, where: str) -> date:
    _expect(isinstance(value, str), "a date", value, where)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UnexpectedResponse(f"{where} is not a date in ISO 8601") from None


def _expect(good: bool, wanted: str, value: Any, where: str) -> None:
    if not good:
        raise UnexpectedResponse(f"{where} is {_kind(value)}, not {wanted}")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")
