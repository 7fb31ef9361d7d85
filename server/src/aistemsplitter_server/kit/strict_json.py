"""Strict JSON: without what two parsers could read differently, or what Postgres cannot store.

The cost of a check grows with the size of the body and with nothing else.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from aistemsplitter_server.kit.errors import ValidationFailed

DEPTH = 32  # far more than any of our request bodies has
VALUES = 1000  # as well; each is validated later, and may become a fault in the response
# Commas and opening brackets, in strings too: more than a body of so many values can have. A body
# with more is not parsed, since the C parser blocks all other threads.
STRUCTURE = 1 << 16
LONGEST_NAME = 64  # characters of a key that an error repeats

Path = tuple[str, ...]


def check(body: bytes) -> None:
    """Check that a body is JSON with exactly one meaning.

    Raises:
        ValidationFailed: It is not UTF-8 or not JSON, has a duplicate key, NaN or infinity, is
            nested too deep or has too many values, or a string has a NUL or half a surrogate pair.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > STRUCTURE:
        raise _too_many()
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
    # Only escapes can produce a NUL or half a pair: UTF-8 and JSON's grammar exclude them
    # otherwise.
    _check_values(value, texts="\\u" in text)


def _too_many() -> ValidationFailed:
    return ValidationFailed([("body", f"has more than {VALUES} values")])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValidationFailed([(name[:LONGEST_NAME], "is there twice")])
        found[name] = value
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _check_values(root: Any, *, texts: bool) -> None:
    """Visit every value, level by level, up to the first that is invalid.

    Args:
        texts: Check strings too.
    """
    level: list[tuple[Path, Any]] = [((), root)]
    seen = 0
    for _ in range(DEPTH + 1):
        following: list[tuple[Path, Any]] = []
        for path, value in level:
            if isinstance(value, (dict, list)):
                seen += len(value)
                if seen > VALUES:
                    raise _too_many()
                inside = value.items() if isinstance(value, dict) else enumerate(value)
                following += [((*path, str(name)[:LONGEST_NAME]), one) for name, one in inside]
                if texts and isinstance(value, dict):
                    for name in value:
                        _check_text(name, path)
            elif texts and isinstance(value, str):
                _check_text(value, path)
        if not following:
            return
        level = following
    raise ValidationFailed([("body", "is nested too deep")])


def _check_text(text: str, path: Path) -> None:
    where = ".".join(path) or "body"
    if "\0" in text:
        raise ValidationFailed([(where, "must not contain a NUL")])
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValidationFailed([(where, "contains half a surrogate pair")])
