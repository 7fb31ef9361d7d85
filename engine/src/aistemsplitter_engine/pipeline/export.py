"""The destination and the format of stems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_engine.options import LOUDNESS, Clip, Normalize, whole_number

if TYPE_CHECKING:
    from aistemsplitter_engine.pipeline.track import Track

_RATES = range(1_000, 768_001)  # Hz, as of songs that can be read


def checked_sample_rate(rate: int | None) -> int | None:
    """Return a valid sample rate for stems in Hz, or None for that of the song.

    Raises:
        OptionError: stems cannot have it.
    """
    if rate is None:
        return None
    rate = whole_number("sample rate", rate)
    if rate not in _RATES:
        raise OptionError(f"sample rate {rate} is not between {_RATES[0]} and {_RATES[-1]} Hz")
    return rate


@dataclass(frozen=True, slots=True)
class Export:
    """The destination and the format of a song's stems; see :meth:`Separator.split`.

    Raises:
        OptionError: ``clip``, ``normalize`` or the sample rate is not supported, or a name is not
            a file name.
    """

    folder: Path
    format: OutputFormat
    clip: Clip = "rescale"
    mono: bool = False
    sample_rate: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    normalize: Normalize = "none"

    def __post_init__(self) -> None:
        if self.clip not in get_args(Clip):
            raise OptionError(f"clip {self.clip!r} is not one of {', '.join(get_args(Clip))}")
        if self.normalize not in get_args(Normalize):
            choices = ", ".join(get_args(Normalize))
            raise OptionError(f"normalize {self.normalize!r} is not one of {choices}")
        object.__setattr__(self, "sample_rate", checked_sample_rate(self.sample_rate))
        for stem, name in self.names.items():
            if not isinstance(name, str) or not name or set(name) & {"/", "\\", "\0"}:
                raise OptionError(f"the name {name!r} for {stem} is not a file name")

    @property
    def channels(self) -> int:
        """Channels of a stem's file."""
        return 1 if self.mono else 2

    @property
    def rescales(self) -> bool:
        """True if stems that exceed full scale are attenuated."""
        return self.clip == "rescale" and not self.format.is_float

    @property
    def clamps(self) -> bool:
        """True if samples that exceed full scale are clipped."""
        return self.clip == "clamp" and not self.format.is_float

    @property
    def measures_loudness(self) -> bool:
        """True if the loudness of the mixture has to be measured."""
        return self.normalize == "mixture-loudness"

    def loudness_gain(self, track: Track) -> float:
        """Return the gain that brings a track's mixture to its loudness; 1 for silence."""
        if not self.measures_loudness or track.lufs is None:
            return 1.0
        return float(10 ** ((LOUDNESS - track.lufs) / 20))

    def name(self, stem: str) -> str:
        """Return the name of a stem's file."""
        return f"{self.names.get(stem, stem)}.{self.format.extension}"

    def check_names(self, stems: Sequence[str]) -> None:
        """Raise OptionError if two stems' files would have the same name, also in another case."""
        by_name: dict[str, str] = {}
        for stem in stems:
            other = by_name.setdefault(self.name(stem).casefold(), stem)
            if other != stem:
                raise OptionError(f"{other} and {stem} would have one file: {self.name(stem)}")

    def rate(self, track: Track) -> int:
        """Return the sample rate of a track's stems in Hz."""
        return self.format.sample_rate(self.sample_rate or track.source.sample_rate)
