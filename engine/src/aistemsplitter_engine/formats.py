"""Output formats."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import get_args

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.options import FormatName, whole_number

_BIT_DEPTHS: dict[str, tuple[int, ...]] = {"wav": (16, 24, 32), "flac": (16, 24)}
_RATES = {
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "m4a": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
    "opus": (48000,),
}
_BIT_RATES = {"mp3": 320_000, "m4a": 256_000, "opus": 192_000}
_FLAC_MAX_RATE = 655_350


@dataclass(frozen=True)
class OutputFormat:
    """A format for stems: ``wav``, ``flac``, ``mp3``, ``opus`` (in Ogg) or ``m4a`` (AAC).

    Args:
        name: also the extension of its files.
        bit_depth: 16, 24 or 32 (floating point) for wav, 16 or 24 for flac; 16 unless given. The
            others have none.

    Raises:
        OptionError: there is no such format, or it has no such bit depth.
    """

    name: FormatName = "wav"
    bit_depth: int | None = None

    def __post_init__(self) -> None:
        names = get_args(FormatName)
        if self.name not in names:
            raise OptionError(f"the format {self.name!r} is not one of {', '.join(names)}")
        if self.bit_depth is not None:
            object.__setattr__(self, "bit_depth", whole_number("bit depth", self.bit_depth))
        depths = _BIT_DEPTHS.get(self.name)
        if depths is None:
            if self.bit_depth is not None:
                raise OptionError(f"{self.name} has no bit depth; leave it out")
        elif self.bit_depth is None:
            object.__setattr__(self, "bit_depth", 16)
        elif self.bit_depth not in depths:
            choices = " or ".join(map(str, depths))
            raise OptionError(f"{self.name} has a bit depth of {choices}, not {self.bit_depth}")

    @property
    def extension(self) -> str:
        """The extension of its files, without a dot."""
        return self.name

    @property
    def is_float(self) -> bool:
        """True if samples may exceed full scale."""
        return self.bit_depth == 32

    @property
    def bit_rate(self) -> int | None:
        """Bit rate of stereo in bits per second; None for lossless formats."""
        return _BIT_RATES.get(self.name)

    def sample_rate(self, for_rate: int) -> int:
        """Return the sample rate in Hz for audio of ``for_rate``.

        The same rate if the format supports it, else the next higher one, else its highest.
        """
        if self.name == "wav":
            return for_rate
        if self.name == "flac":  # multiples of 10 Hz above what 16 bits hold
            return for_rate if for_rate < 1 << 16 else min(for_rate, _FLAC_MAX_RATE - 10) // 10 * 10
        rates = _RATES[self.name]
        return rates[min(bisect_left(rates, for_rate), len(rates) - 1)]
