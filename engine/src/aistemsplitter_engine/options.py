"""Names and defaults of options; quick to import, for the command line."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, get_args

from aistemsplitter_engine.errors import OptionError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Device = DeviceName | str
"""A device's name, or that of one CUDA GPU such as ``cuda:1``; see :func:`checked_device`."""
Precision = Literal["auto", "float32", "bf16", "float16"]
Clip = Literal["rescale", "clamp", "none"]
Normalize = Literal["none", "mixture-loudness"]
LOUDNESS = -14.0  # LUFS of a mixture that is normalized: the level of most streaming services
FormatName = Literal["wav", "flac", "mp3", "opus", "m4a", "aiff", "alac"]
DEFAULT_MODEL = "htdemucs_ft"


class SplitOptions(TypedDict, total=False):
    """Options of :meth:`Separator.split` that several songs may share."""

    stems: Sequence[str] | None
    format: FormatName
    bit_depth: int | None
    bitrate: int | None
    clip: Clip
    normalize: Normalize
    mono: bool
    sample_rate: int | None
    names: Mapping[str, str] | None
    resume: bool


def checked_device(value: str) -> str:
    """Return a device's name if it has a valid form.

    Raises:
        OptionError: it has none.
    """
    if value in get_args(DeviceName) or re.fullmatch(r"cuda:[0-9]{1,4}", str(value)):
        return value
    names = ", ".join(get_args(DeviceName))
    raise OptionError(f"device {value!r} is not one of {names}, or a GPU such as cuda:1")


def number(name: str, value: Any) -> float:
    """Return a number of any type, such as NumPy's, as a ``float``.

    Raises:
        OptionError: it is not a number.
    """
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise OptionError(f"{name} {value!r} is not a number") from None


def whole_number(name: str, value: Any) -> int:
    """Return a number of any type, such as NumPy's, as an ``int``.

    Raises:
        OptionError: it is not a whole number.
    """
    try:
        return operator.index(value)
    except TypeError:
        pass
    try:
        if float(value).is_integer() and not isinstance(value, str):
            return int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise OptionError(f"{name} {value} is not a whole number")
