"""JSON without what two readers could understand differently, or what Postgres cannot keep."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from aistemsplitter_server.kit.errors import ValidationFailed

DEPTH = 32  # far more than any body of ours has


def check(body: bytes) -> None:
    """Make sure that a body is JSON of one meaning.

    Raises:
        ValidationFailed: not UTF-8, not JSON, a key twice, a number without a value, nested too
            deep, or a text with a NUL or half a surrogate pair.
    """
    try:
        text = body.decode()
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_number
        )
    except UnicodeDecodeError:
        raise ValidationFailed([("body", "is not valid UTF-8")]) from None
    except RecursionError:
        raise ValidationFailed([("body", "is nested too deep")]) from None
    except ValueError:  # not JSON, or an integer of thousands of digits
        raise ValidationFailed([("body", "is not valid JSON")]) from None
    for path, leaf in _texts(value, ()):
        if "\0" in leaf:
            raise ValidationFailed([(_name(path), "must not contain a NUL")])
        if not leaf.isascii() and any("\ud800" <= letter <= "\udfff" for letter in leaf):
            raise ValidationFailed([(_name(path), "contains half a surrogate pair")])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValidationFailed([(twice, "is there twice")])
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text in it, keys too, with the way there."""
    if len(path) > DEPTH:
        raise ValidationFailed([("body", "is nested too deep")])
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield path, name
            yield from _texts(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*path, str(number)))


def _name(path: tuple[str, ...]) -> str:
    return ".".join(path) or "body"
