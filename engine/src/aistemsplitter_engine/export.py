"""Where stems go, and what they are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_engine.options import Clip

if TYPE_CHECKING:
    from aistemsplitter_engine.track import Track

_RATES = range(1_000, 768_001)  # Hz, as of songs that can be read


def check_sample_rate(rate: int | None) -> None:
    """Raise OptionError for a rate that stems cannot have; None is the song's own."""
    if rate is not None and rate not in _RATES:
        raise OptionError(f"sample rate {rate} is not between {_RATES[0]} and {_RATES[-1]} Hz")


@dataclass(frozen=True, slots=True)
class Export:
    """Where stems go and what they are there; see :meth:`Separator.split`.

    Raises:
        OptionError: there is no such way to deal with full scale, or no such sample rate.
    """

    folder: Path
    format: OutputFormat
    clip: Clip = "rescale"
    mono: bool = False
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        if self.clip not in get_args(Clip):
            raise OptionError(f"clip {self.clip!r} is not one of {', '.join(get_args(Clip))}")
        check_sample_rate(self.sample_rate)

    @property
    def channels(self) -> int:
        """Channels of a stem's file."""
        return 1 if self.mono else 2

    @property
    def rescales(self) -> bool:
        """Whether stems over full scale are turned down."""
        return self.clip == "rescale" and not self.format.is_float

    @property
    def clamps(self) -> bool:
        """Whether samples over full scale are cut off."""
        return self.clip == "clamp" and not self.format.is_float

    def name(self, stem: str) -> str:
        """Tell the name of a stem's file."""
        return f"{stem}.{self.format.extension}"

    def rate(self, track: Track) -> int:
        """Tell the sample rate of a track's stems in Hz."""
        return self.format.sample_rate(self.sample_rate or track.source.sample_rate)
