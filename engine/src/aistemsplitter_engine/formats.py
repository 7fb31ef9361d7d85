"""Output formats."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import get_args

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.options import FormatName, whole_number

_BIT_DEPTHS: dict[str, tuple[int, ...]] = {
    "wav": (16, 24, 32),
    **dict.fromkeys(("flac", "aiff", "alac"), (16, 24)),
}
_EXTENSIONS = {"alac": "m4a"}  # of other formats, their names
_RATES = {
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "m4a": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
    "opus": (48000,),
}
_BITRATES = {  # kbit/s; those of MP3 are the standard's
    "mp3": (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    "m4a": range(32, 321),
    "opus": range(8, 511),
}
_DEFAULT_BITRATES = {"mp3": 320, "m4a": 256, "opus": 192}  # kbit/s, of stereo
_OPUS_MAX_PER_CHANNEL = 256  # kbit/s
_FLAC_MAX_RATE = 655_350
_AIFF_MAX_BYTES = (1 << 32) - (1 << 20)  # of samples; with room for tags and a cover


@dataclass(frozen=True)
class OutputFormat:
    """A format for stems: ``wav``, ``flac``, ``mp3``, ``opus`` (in Ogg), ``m4a`` (AAC), ``aiff`` or
    ``alac`` (in M4A).

    Args:
        name: Name of the format.
        bit_depth: 16, 24 or 32 (floating point) for wav, 16 or 24 for flac, aiff and alac; 16 by
            default. The others have none.
        bitrate: Bit rate in kbit/s: one of the standard's from 32 to 320 for mp3, 32 to 320 for
            m4a, 8 to 510 for opus; by default 320, 256 and 192 for stereo and half of that for
            mono. Encoders lower it for mono and low sample rates that do not support it. The others
            have none.

    Raises:
        OptionError: There is no such format, or it has no such bit depth or bit rate.
    """

    name: FormatName = "wav"
    bit_depth: int | None = None
    bitrate: int | None = None

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
        if self.bitrate is not None:
            object.__setattr__(self, "bitrate", self._checked_bitrate(self.bitrate))

    @property
    def extension(self) -> str:
        """The extension of its files, without a dot."""
        return _EXTENSIONS.get(self.name, self.name)

    @property
    def is_float(self) -> bool:
        """True if samples may exceed full scale."""
        return self.bit_depth == 32

    def bits_per_second(self, channels: int) -> int | None:
        """Return the bit rate of a file in bits per second, or None for lossless formats."""
        if self.name not in _BITRATES:
            return None
        bitrate = self.bitrate or _DEFAULT_BITRATES[self.name] * channels // 2
        if self.name == "opus":
            bitrate = min(bitrate, _OPUS_MAX_PER_CHANNEL * channels)
        return bitrate * 1000

    def sample_rate(self, for_rate: int) -> int:
        """Return the sample rate in Hz for audio of ``for_rate``.

        The same rate if the format supports it, else the next higher one, else its highest.
        """
        if self.name in ("wav", "aiff", "alac"):
            return for_rate
        if self.name == "flac":  # multiples of 10 Hz above what 16 bits hold
            return for_rate if for_rate < 1 << 16 else min(for_rate, _FLAC_MAX_RATE - 10) // 10 * 10
        rates = _RATES[self.name]
        return rates[min(bisect_left(rates, for_rate), len(rates) - 1)]

    def check_length(self, frames: int, channels: int) -> None:
        """Check that a file can hold so many samples.

        Raises:
            OptionError: It cannot.
        """
        size = frames * channels * (self.bit_depth or 0) // 8
        if self.name == "aiff" and size > _AIFF_MAX_BYTES:
            raise OptionError("aiff holds up to 4 GiB, which the stems exceed; choose wav or flac")

    def _checked_bitrate(self, bitrate: int) -> int:
        allowed = _BITRATES.get(self.name)
        if allowed is None:
            raise OptionError(f"{self.name} has no bit rate; leave it out")
        bitrate = whole_number("bit rate", bitrate)
        if bitrate not in allowed:
            choices = f"{allowed[0]} to {allowed[-1]}"
            if not isinstance(allowed, range):
                choices = f"{', '.join(map(str, allowed[:-1]))} or {allowed[-1]}"
            raise OptionError(f"{self.name} has a bit rate of {choices} kbit/s, not {bitrate}")
        return bitrate
