"""The configuration of a network, checked, and the shapes that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.sources import check_sources

# Arguments of ``demucs.htdemucs.HTDemucs`` that change its output and have a single value in all
# published checkpoints. Another value means another network, which is refused by that name.
_FIXED: dict[str, tuple[Any, ...]] = {
    "cac": (True,),
    "wiener_iters": (0,),
    "end_iters": (0,),
    "rewrite": (True,),
    "multi_freqs": (None, [], ()),
    "t_emb": ("sin",),
    "t_norm_in": (True,),
    "t_norm_in_group": (False, 0),
    "t_group_norm": (False, 0),
    "t_norm_first": (True,),
    "t_norm_out": (True, 1),
    "t_sin_random_shift": (0,),
    "t_sparse_self_attn": (False,),
    "t_sparse_cross_attn": (False,),
    "use_train_segment": (True,),
}
# Ranges of the others: a hostile file must not ask for gigabytes or for zero.
_RANGES: dict[str, tuple[float, float]] = {
    "channels": (1, 4096), "growth": (1, 8), "depth": (1, 12), "kernel_size": (2, 256),
    "stride": (1, 128), "context": (0, 16), "context_enc": (0, 16), "norm_starts": (0, 99),
    "norm_groups": (1, 4096), "dconv_mode": (0, 3), "dconv_depth": (-12, 12),
    "dconv_comp": (0.1, 4096), "bottom_channels": (0, 8192), "t_layers": (0, 99),
    "t_heads": (1, 512), "t_hidden_scale": (0.01, 64), "t_max_period": (1.1, 1e9),
    "t_weight_pos_embed": (-1e3, 1e3), "freq_emb": (0, 1e3), "emb_scale": (1e-3, 1e6),
    "audio_channels": (1, 64), "samplerate": (1, 10**6), "nfft": (1, 2**20),
}  # fmt: skip
_FRACTIONAL = (
    "dconv_comp", "t_hidden_scale", "t_max_period", "t_weight_pos_embed", "freq_emb", "emb_scale",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Configuration:
    """The arguments of HTDemucs that matter for inference; names and defaults are Demucs'."""

    sources: tuple[str, ...]
    audio_channels: int = 2
    channels: int = 48
    channels_time: int | None = None
    growth: int = 2
    nfft: int = 4096
    depth: int = 4
    freq_emb: float = 0.2
    emb_scale: float = 10
    kernel_size: int = 8
    stride: int = 4
    context: int = 1
    context_enc: int = 0
    norm_starts: int = 4
    norm_groups: int = 4
    dconv_mode: int = 1
    dconv_depth: int = 2
    dconv_comp: float = 8
    bottom_channels: int = 0
    t_layers: int = 5
    t_heads: int = 8
    t_hidden_scale: float = 4.0
    t_max_period: float = 10000.0
    t_layer_scale: bool = True
    t_gelu: bool = True
    t_weight_pos_embed: float = 1.0
    t_cross_first: bool = False
    samplerate: int = 44100
    segment: Fraction = Fraction(10)

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Configuration:
        """Check a checkpoint's stored constructor arguments and keep those that matter here.

        Raises :class:`ModelError`, naming the argument, for a network outside the family.
        """
        for name, allowed in _FIXED.items():
            if name in arguments and arguments[name] not in allowed:
                raise ModelError(f"the checkpoint has {name}={arguments[name]!r}, not supported")
        known = {name: arguments[name] for name in cls.__slots__ if name in arguments}
        try:
            known["sources"] = tuple(str(source) for source in known["sources"])
            if "segment" in known:
                known["segment"] = Fraction(known["segment"]).limit_denominator(10**6)
            config = cls(**known)
            config._check()
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise ModelError(f"the checkpoint's arguments are invalid: {error!r}") from None
        return config

    def _check(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            whole = isinstance(value, int) or (name in _FRACTIONAL and isinstance(value, float))
            if not whole or not low <= value <= high:
                raise ModelError(f"the checkpoint has {name}={value!r}, not supported")
        if self.channels_time is not None and not 1 <= self.channels_time <= 4096:
            raise ModelError(f"the checkpoint has channels_time={self.channels_time}")
        check_sources(self.sources, reserved=("instrumental", "residual"))
        if self.audio_channels != 2 or self.samplerate != 44100:
            raise ModelError(
                f"the checkpoint is for {self.audio_channels} channels at {self.samplerate} Hz; "
                "only stereo at 44100 Hz is supported"
            )
        if self.nfft != 4096 or not Fraction(1, 10) <= self.segment <= 60:
            raise ModelError(
                f"the checkpoint has nfft={self.nfft} and segments of {float(self.segment):g} s; "
                "only nfft=4096 and segments of 0.1 to 60 s are supported"
            )
        frequencies = self.nfft // 2
        for index in range(self.depth):
            if frequencies % self.stride or frequencies <= self.kernel_size:
                raise ModelError(
                    f"the checkpoint has depth={self.depth}; with kernel {self.kernel_size} and "
                    f"stride {self.stride} at most {index} layers are supported"
                )
            frequencies //= self.stride
        if (self.kernel_size - self.stride) % 2 or self.kernel_size // 4 * 2 != (
            self.kernel_size - self.stride
        ):
            raise ModelError(
                f"the checkpoint has kernel_size={self.kernel_size} and stride={self.stride}; "
                "only a kernel of twice the stride is supported"
            )
        if self.norm_starts < self.depth and self.channels % self.norm_groups:
            raise ModelError(
                f"{self.norm_groups} norm_groups do not divide {self.channels} channels"
            )
        width = self.transformer_width
        if self.t_layers and (width % 4 or width % self.t_heads):
            raise ModelError(f"{self.t_heads} attention heads do not fit a width of {width}")

    @property
    def segment_frames(self) -> int:
        """Samples of one segment."""
        return int(self.segment * self.samplerate)

    @property
    def hop(self) -> int:
        """Samples between two frames of the spectrogram."""
        return self.nfft // 4

    @property
    def bins(self) -> int:
        """Frequencies of the spectrogram, without the highest one."""
        return self.nfft // 2

    @property
    def spectrogram_frames(self) -> int:
        """Frames of one segment's spectrogram."""
        return ceil(self.segment_frames / self.hop)

    @property
    def waveform_lengths(self) -> tuple[int, ...]:
        """Samples of the waveform branch before the first layer and after each."""
        lengths = [self.segment_frames]
        for _ in range(self.depth):
            lengths.append(ceil(lengths[-1] / self.stride))
        return tuple(lengths)

    @property
    def filled_frames(self) -> int:
        """Samples of one segment, padded to a multiple of the stride."""
        return self.waveform_lengths[1] * self.stride

    @property
    def bottom_bins(self) -> int:
        """Frequencies that are left at the transformer."""
        return self.bins // int(self.stride**self.depth)

    @property
    def transformer_width(self) -> int:
        """Channels of the transformer."""
        return self.bottom_channels or self.channels * int(self.growth ** (self.depth - 1))

    def is_cross(self, index: int) -> bool:
        """Return whether the transformer's layer ``index`` attends to the other branch."""
        return index % 2 != (1 if self.t_cross_first else 0)
