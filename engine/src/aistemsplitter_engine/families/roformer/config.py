"""The configuration of a RoFormer: sizes from its weights, settings from its YAML."""

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
_HOPS = 16  # most hops that a frame may have


@dataclass(frozen=True, slots=True)
class Configuration:
    """A network that computes its ``sources``, which may be some of those in the checkpoint.

    Attributes:
        settings: Settings of the checkpoint's YAML.
        sizes: Sizes of the layers.
        bands: Bands of the spectrogram.
        estimators: Number of each source's mask estimator in the checkpoint.
    """

    settings: Settings
    sizes: Sizes
    bands: Bands
    estimators: tuple[int, ...]

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
        config = cls(settings, sizes, bands, tuple(range(sizes.stems)))
        config._check()
        return config

    def only(self, sources: Collection[str]) -> Configuration:
        """Return the configuration of a network that computes only these sources."""
        chosen = [n for n in self.estimators if self.settings.sources[n] in sources]
        return replace(self, estimators=tuple(chosen))

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems that the network computes."""
        return tuple(self.settings.sources[n] for n in self.estimators)

    @property
    def frames(self) -> int:
        """Frames of a segment's spectrogram."""
        return self.settings.segment_frames // self.settings.hop + 1

    @property
    def bins(self) -> int:
        """Frequencies of the spectrogram."""
        return self.settings.nfft // 2 + 1

    @property
    def numbers(self) -> int:
        """Numbers of all bands of a frame together."""
        return NUMBERS * sum(self.sizes.bands)

    def _check(self) -> None:
        nfft, hop, segment = self.settings.nfft, self.settings.hop, self.settings.segment_frames
        if not nfft // _HOPS <= hop <= nfft // 2:
            raise ModelError(
                f"its config has stft_hop_length {hop}, not between 1/{_HOPS} and 1/2 of "
                f"stft_n_fft {nfft}"
            )
        if segment <= nfft:
            raise ModelError(f"its config has chunk_size {segment}, too short")
        if self.sizes.mel and segment % hop:
            raise ModelError(
                f"its config has chunk_size {segment}, not a multiple of stft_hop_length {hop}"
            )
