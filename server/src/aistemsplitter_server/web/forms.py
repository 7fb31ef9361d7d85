"""HTML forms, parsed into models as strict as those of the API.

A field that is sent more than once is a list, and an empty one counts as missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, get_origin
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from aistemsplitter_server.kit.errors import ValidationFailed

MOST_FIELDS = 200
KIND = "application/x-www-form-urlencoded"


class Form(BaseModel):
    """The base of forms. Unknown fields are errors, and surrounding spaces are removed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)


Filled = TypeVar("Filled", bound=Form)


def filled(model: type[Filled]) -> Callable[[Request], Awaitable[Filled]]:
    """Return a dependency: the form that was sent.

    Raises:
        ValidationFailed: Fields are invalid; it names each of them.
    """
    fields = model.model_fields.items()
    many = {name for name, field in fields if get_origin(field.annotation) is list}

    async def read(request: Request) -> Filled:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != KIND:
            raise ValidationFailed([("Content-Type", f"must be {KIND}")])
        try:
            pairs = parse_qsl(
                (await request.body()).decode(), strict_parsing=False, max_num_fields=MOST_FIELDS
            )
        except (UnicodeDecodeError, ValueError):
            raise ValidationFailed([("form", "cannot be read")]) from None
        values: dict[str, Any] = {}
        for name, value in pairs:
            if "\0" in value:
                raise ValidationFailed([(name[:64], "must not contain a NUL")])
            if name in many:
                values.setdefault(name, []).append(value)
            else:
                values[name] = value
        try:
            return model.model_validate(values)
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False)
            raise ValidationFailed(
                [
                    (".".join(map(str, fault["loc"])) or "form", _reason(fault["msg"]))
                    for fault in faults
                ]
            ) from None

    return read


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")
