"""From JSON to models: snake_case fields from camelCase keys, by the fields' annotations.

Built to outlive its server: unknown keys are ignored, a missing or null key takes the field's
default. A value of another type than the field's is an error that names the field.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, Union

from aistemsplitter._errors import UnexpectedResponse

T = TypeVar("T")

LARGEST = 2**63  # JSON knows no bound, and Infinity besides


def camel(name: str) -> str:
    """The name of a field on the wire: ``created_at`` is ``createdAt``."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def decode(model: type[T], data: Any, where: str = "data") -> T:
    """An instance of a model dataclass from its JSON, which it keeps as ``raw`` if it has one.

    Raises:
        UnexpectedResponse: not an object, a required key is missing, or a value is of another type.
    """
    if not isinstance(data, Mapping):
        raise UnexpectedResponse(f"{where} is {_kind(data)}, not an object")
    values: dict[str, Any] = {}
    for name, key, hint, required in _fields(model):  # type: ignore[arg-type]  # mypy on cache
        if name == "raw":
            values[name] = data
        elif data.get(key) is not None:
            values[name] = _convert(hint, data[key], f"{where}.{key}")
        elif required:
            raise UnexpectedResponse(f"{where}.{key} is missing")
    return model(**values)


@cache
def _fields(model: Any) -> tuple[tuple[str, str, Any, bool], ...]:
    hints = typing.get_type_hints(model)
    return tuple(
        (
            field.name,
            camel(field.name),
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(model)
    )


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):  # X | None, and null does not come here
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
        _expect(isinstance(value, str), "a time", value, where)
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            raise UnexpectedResponse(f"{where} is not a time in ISO 8601") from None
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    if hint in (int, float):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _expect(number and abs(value) < LARGEST, "a number in range", value, where)
        return math.ceil(value) if hint is int else float(value)  # seconds round up
    if hint is str or hint is bool:
        _expect(isinstance(value, hint), "a string" if hint is str else "a boolean", value, where)
        return value
    return hint.from_wire(value, where)


def _expect(good: bool, wanted: str, value: Any, where: str) -> None:
    if not good:
        raise UnexpectedResponse(f"{where} is {_kind(value)}, not {wanted}")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")
