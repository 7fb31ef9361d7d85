"""Options of a split beyond its model, stems and format: how it is computed and encoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from aistemsplitter_server.kit.schemas import Request, example
from aistemsplitter_server.models.service import TEST_SECONDS
from aistemsplitter_server.splits.tables import Split

USUAL_OVERLAP = 0.25
_BIT_DEPTHS = {
    "wav": (16, 24, 32),
    **dict.fromkeys(("flac", "aiff", "alac"), (16, 24)),
}
_RATES = {  # Hz; other formats have any
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "m4a": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
    "opus": (48000,),
}
_BITRATES = {  # kbit/s
    "mp3": (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    "m4a": range(32, 321),
    "opus": range(8, 511),
}

# Left out where it was not chosen: of the split, and of fingerprints by which requests are compared
_optional: Callable[..., Any] = partial(Field, None, exclude_if=lambda value: value is None)


class SplitOptions(Request):
    """How a split is computed and encoded. An option that is omitted has its default."""

    model_config = ConfigDict(
        json_schema_extra=example(bitDepth=24, shifts=2, seed=7, normalize="mixture-loudness")
    )

    bit_depth: Annotated[
        Literal[16, 24, 32] | None,
        _optional(description="of lossless formats: 16 by default; 32, for wav, is floating point"),
    ] = None
    sample_rate: Annotated[
        int | None,
        _optional(
            ge=8000,
            le=192_000,
            description="in Hz; by default that of the song, or the next that the format has",
        ),
    ] = None
    bitrate: Annotated[
        int | None,
        _optional(
            ge=8,
            le=510,
            description="in kbit/s, of mp3 (320 by default), m4a (256) and opus (192)",
        ),
    ] = None
    clip: Annotated[
        Literal["rescale", "clamp", "none"] | None,
        _optional(
            description="where stems exceed full scale: `rescale` (default) attenuates all alike,"
            " `clamp` clips the peaks, `none` leaves it to the format"
        ),
    ] = None
    normalize: Annotated[
        Literal["none", "mixture-loudness"] | None,
        _optional(
            description="`mixture-loudness` multiplies all stems by the one gain that brings the"
            " song to -14 LUFS (EBU R128); `clip` applies after it"
        ),
    ] = None
    precision: Annotated[
        Literal["auto", "float32"] | None,
        _optional(
            description="`auto` (default) computes in bf16 where that is faster; `float32` gives"
            " the samples of Demucs"
        ),
    ] = None
    shifts: Annotated[
        int | None,
        _optional(
            ge=0,
            le=10,
            description="passes over the song, each shifted in time, whose stems are averaged; each"
            " costs as much as the song. 0 (default) is one pass without a shift",
        ),
    ] = None
    seed: Annotated[
        int | None,
        _optional(
            ge=0,
            lt=1 << 32,
            description="of the shifts; random by default. The same seed gives the same stems",
        ),
    ] = None
    overlap: Annotated[
        float | None,
        _optional(
            ge=0,
            le=0.75,
            description="of adjacent segments; 0.25 by default. More computes more segments, and"
            " costs as many times more: 1.5 times at 0.5",
        ),
    ] = None

    preview_seconds: Annotated[
        int | None,
        _optional(
            ge=1,
            le=60,
            description="separate only the first seconds of the song, and pay only for them",
        ),
    ] = None

    def check(self, output_format: str) -> None:
        """Check that the options go with the format and with each other.

        Raises:
            ValidationError: Some do not; it names them.
        """
        errors = [
            InitErrorDetails(
                type=PydanticCustomError("options", "{reason}", {"reason": reason}),
                loc=(field,),
                input=None,
            )
            for field, reason in self._faults(output_format)
        ]
        if errors:
            raise ValidationError.from_exception_data("options", errors)

    def _faults(self, name: str) -> Iterator[tuple[str, str]]:
        for field, value, noun, allowed in (
            ("bitDepth", self.bit_depth, "bit depth", _BIT_DEPTHS),
            ("bitrate", self.bitrate, "bitrate", _BITRATES),
        ):
            if value is not None and name not in allowed:
                yield field, f"{name} has no {noun}; leave it out"
            elif value is not None and value not in allowed[name]:
                yield field, f"{name} has a {noun} of {_listed(allowed[name])}"
        if self.sample_rate is not None and self.sample_rate not in _RATES.get(
            name, (self.sample_rate,)
        ):
            yield "sampleRate", f"{name} has a sample rate of {_listed(_RATES[name])} Hz"
        if self.clip is not None and self.bit_depth == 32:
            yield "clip", "stems in floating point are never clipped; leave it out"
        if self.seed is not None and not self.shifts:
            yield "seed", "needs shifts, of which it is the seed"

    @property
    def factor(self) -> float:
        """The factor that they multiply the price by: that of the segments to compute."""
        overlap = USUAL_OVERLAP if self.overlap is None else self.overlap
        return max(1, self.shifts or 0) * max(1.0, (1 - USUAL_OVERLAP) / (1 - overlap))

    def price(self, seconds: float) -> int:
        """Return the credits that a song of this length costs."""
        if self.preview_seconds is not None:
            seconds = min(seconds, self.preview_seconds)
        return max(1, math.ceil(seconds * self.factor))


def excerpt(split: Split) -> int | None:
    """Return how many seconds of a song are separated, from its beginning; None for all."""
    preview = of(split.options).preview_seconds
    if split.is_test:
        return min(TEST_SECONDS, preview or TEST_SECONDS)
    return preview


def separated_seconds(split: Split) -> float:
    """Return how many seconds of a song are separated."""
    longest = excerpt(split)
    return split.duration_seconds if longest is None else min(split.duration_seconds, longest)


def of(stored: Mapping[str, Any] | None) -> SplitOptions:
    """Return the options of a split, as they are stored."""
    return SplitOptions.model_validate(stored or {})


def _listed(values: Sequence[int]) -> str:
    if isinstance(values, range):
        return f"{values[0]} to {values[-1]}"
    first = ", ".join(map(str, values[:-1]))
    return f"{first} or {values[-1]}" if first else str(values[-1])
