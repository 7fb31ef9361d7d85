"""The configuration of a RoFormer: the sizes that its weights show, and what its YAML adds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.roformer.bands import Bands, bands_side_by_side, mel_bands
from aistemsplitter_engine.families.roformer.settings import SAMPLE_RATE, Settings
from aistemsplitter_engine.families.roformer.sizes import Sizes

CHANNELS = 2
NUMBERS = 2 * CHANNELS  # of a bin of a frame: real and imaginary part of each channel
_HOPS = 16  # at most, a window


@dataclass(frozen=True, slots=True)
class Configuration:
    """A network that computes its ``sources``, which may be some of those in the checkpoint.

    Attributes:
        sizes: Sizes of the layers.
        bands: Bands of the spectrogram.
        nfft: Samples of a frame.
        hop: Samples between two frames.
        segment_frames: Samples of a segment.
        zero_dc: True if the estimates have no component of 0 Hz.
        overlap: Overlap of adjacent segments that the model's author recommends.
        sources: Names of the stems.
        estimators: Number of each source's mask estimator in the checkpoint.
        complement: Name of the stem that is the mixture minus the only source, or None.
    """

    sizes: Sizes
    bands: Bands
    nfft: int
    hop: int
    segment_frames: int
    zero_dc: bool
    overlap: float
    sources: tuple[str, ...]
    estimators: tuple[int, ...]
    complement: str | None

    @classmethod
    def of(
        cls, arguments: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
    ) -> Configuration:
        """Return the configuration of a checkpoint with the model's YAML and weights of ``shapes``.

        Raises:
            ModelError: The network is not supported, or the YAML contradicts the weights.
        """
        sizes = Sizes.of(shapes)
        settings = Settings.of(arguments)
        settings.check_sizes(sizes)
        nfft = settings.nfft
        if sizes.mel:
            bands = mel_bands(len(sizes.bands), nfft, SAMPLE_RATE)
        else:
            bands = bands_side_by_side(sizes.bands)
        if tuple(stop - start for start, stop in bands) != sizes.bands or (
            bands[-1][1] != nfft // 2 + 1
        ):
            kind = "mel bands" if sizes.mel else "bands"
            raise ModelError(f"its {len(bands)} {kind} are not those of {nfft // 2 + 1} bins")
        if len(settings.sources) != sizes.stems:
            raise ModelError(
                f"its config names {len(settings.sources)} stems, but it has weights for "
                f"{sizes.stems}"
            )
        config = cls(
            sizes=sizes,
            bands=bands,
            nfft=nfft,
            hop=settings.hop,
            segment_frames=settings.segment_frames,
            zero_dc=settings.zero_dc,
            overlap=settings.overlap,
            sources=settings.sources,
            estimators=tuple(range(sizes.stems)),
            complement=settings.complement,
        )
        config._check()
        return config

    def only(self, sources: Collection[str]) -> Configuration:
        """Return the configuration of a network that computes only these sources."""
        chosen = [
            (name, number)
            for name, number in zip(self.sources, self.estimators, strict=True)
            if name in sources
        ]
        names, estimators = zip(*chosen, strict=True)
        return replace(self, sources=names, estimators=estimators)

    @property
    def frames(self) -> int:
        """Frames of a segment's spectrogram."""
        return self.segment_frames // self.hop + 1

    @property
    def bins(self) -> int:
        """Frequencies of the spectrogram."""
        return self.nfft // 2 + 1

    @property
    def numbers(self) -> int:
        """Numbers of all bands of a frame together."""
        return NUMBERS * sum(self.sizes.bands)

    def _check(self) -> None:
        if not self.nfft // _HOPS <= self.hop <= self.nfft // 2:
            raise ModelError(
                f"its config has stft_hop_length {self.hop}, not between 1/{_HOPS} and 1/2 of "
                f"stft_n_fft {self.nfft}"
            )
        if self.segment_frames <= self.nfft:
            raise ModelError(f"its config has chunk_size {self.segment_frames}, too short")
        if self.sizes.mel and self.segment_frames % self.hop:
            raise ModelError(
                f"its config has chunk_size {self.segment_frames}, not a multiple of "
                f"stft_hop_length {self.hop}"
            )
