"""Catalogue of the models and their weight files.

Names, order and checksums of Demucs' files are as published with it (``demucs/remote`` in its
package). The eight hex digits after the dash in a file's name are the first of its SHA-256.

A RoFormer is listed if its author states a licence that permits use; its address has the revision
of the repository.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.messages import excerpt

FOUR_STEMS = ("drums", "bass", "other", "vocals")
SIX_STEMS = (*FOUR_STEMS, "guitar", "piano")

OFFICIAL_LICENCE = (
    "unclear: the authors have called these weights 'not covered by the MIT license' in one place "
    "and 'mit' in another; decide for yourself whether your use is allowed"
)
OWN_LICENCE = "MIT, like this package"
_SDR = (
    "on the Multisong set, by github.com/ZFTurbo/Music-Source-Separation-Training, "
    "docs/pretrained_models.md"
)
_META = "Trained by Meta on MUSDB18-HQ and 800 songs that are not published."
KIM_LICENCE = (
    "MIT, by the author's model card since 22 April 2026 (before, GPL-3.0, and until June 2025 "
    "none); what the model was trained on is not stated"
)


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file with the weights of one network.

    Attributes:
        signature: Name of the network, and the hub's file name without its suffix.
        name: Name of the official file.
        sha256: SHA-256 of the official file in hex.
        size: Size of the official file in bytes. Exact for 955717e8; the others follow from the
            number of parameters to within 1 %, enough to display and to stop an endless download.
        stem: The only stem that the network is used for, or None for all.
        hub_repository: Repository on the Hugging Face hub with the same weights.
        url: Address of the official file if it is not on Demucs' server. There is no other one
            with the same weights then, and ``hub_repository`` has the file itself.
    """

    signature: str
    name: str
    sha256: str
    size: int
    stem: str | None
    hub_repository: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model: one network, or a bag of several that each separate one stem.

    Attributes:
        name: Canonical name.
        files: Files in the order of the bag; empty for the model that is part of this package.
        sources: Stems in the order of the network's output.
        size: Size of all files together in bytes.
        licence: Licence note, shown on installation.
        description: One sentence that helps to choose a model.
        origin: Who trained it and on what, and its SDR with the source.
        family: Name of the family of its networks.
        config: Content of the model's YAML, if its files lack that.
        complement: Stem that is the mixture minus the only source, or None.
        overlap: Overlap of adjacent segments by default.
    """

    name: str
    files: tuple[WeightFile, ...]
    sources: tuple[str, ...]
    size: int
    licence: str
    description: str
    origin: str
    family: str = "htdemucs"
    config: Mapping[str, Any] | None = None
    complement: str | None = None
    overlap: float = 0.25

    @property
    def stems(self) -> tuple[str, ...]:
        """Stems that are made by default."""
        return self.sources if self.complement is None else (*self.sources, self.complement)


def _official(
    name: str,
    files: tuple[WeightFile, ...],
    sources: tuple[str, ...],
    description: str,
    sdr: str | None,
) -> ModelSpec:
    size = sum(file.size for file in files)
    origin = f"{_META} SDR {'not known.' if sdr is None else f'{sdr} {_SDR}.'}"
    return ModelSpec(name, files, sources, size, OFFICIAL_LICENCE, description, origin)


def _file(sha256: str, signature: str, size: int, hub: str, stem: str | None = None) -> WeightFile:
    return WeightFile(signature, f"{signature}-{sha256[:8]}.th", sha256, size, stem, hub)


_HTDEMUCS = _official(
    "htdemucs",
    (
        _file(
            "8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4",
            "955717e8",
            84_141_911,
            "adefossez/HTDemucs",
        ),
    ),
    FOUR_STEMS,
    "Four stems from one network: the fastest of the official models.",
    sdr="vocals 8.24, drums 10.88, bass 11.76, other 5.74 dB",
)

_HTDEMUCS_FT = _official(
    "htdemucs_ft",
    tuple(
        _file(sha256, signature, 84_140_000, "adefossez/HTDemucs-ft", stem)
        for stem, signature, sha256 in (
            (
                "drums",
                "f7e0c4bc",
                "ba3fe64ae8ef66ac9a4857222ce48efbdc5eb3ad375cb79dd13debee5aaa4066",
            ),
            (
                "bass",
                "d12395a8",
                "e57c48e6b0e38af4f7118d7bd08c49f0a0c0edf7d09143bdd902ea0d237303e6",
            ),
            (
                "other",
                "92cfc3b6",
                "ef3bcb9c8b40d14ae5d51b6db2587339cc12c6b77c0be151ce6d69002e087bf2",
            ),
            (
                "vocals",
                "04573f0d",
                "f3cf25b222c4eed7cd49dd8b2c9597d50c18bd154090f7b919cfa5f93cf22c49",
            ),
        )
    ),
    FOUR_STEMS,
    "Four networks, each fine-tuned for one stem: the best four stems, in four times the time.",
    sdr="vocals 8.38, drums 11.13, bass 11.96, other 5.85 dB",
)

_HTDEMUCS_6S = _official(
    "htdemucs_6s",
    (
        _file(
            "34c22ccb381c6f9fdbf324f04e1e2fe21aaaf293f5ded163a162697ff9a02ddd",
            "5c90dfd2",
            55_000_000,
            "adefossez/HTDemucs-6s",
        ),
    ),
    SIX_STEMS,
    "Six stems from one network; its authors call the piano poor.",
    sdr=None,
)

_HTDEMUCS_TINY = ModelSpec(
    "htdemucs_tiny",
    (),
    FOUR_STEMS,
    3_777_144,
    OWN_LICENCE,
    "A demonstration model trained on synthetic music, not for real songs: for those, "
    "`aistemsplitter-local models install htdemucs_ft`.",
    "Trained by this project on 147 synthetic songs. SDR on real songs not measured.",
)

_KIM_REPOSITORY = "KimberleyJSN/melbandroformer"
_KIM_REVISION = "ac9b0614ab3cd7f77219e18ba494dfd93956c348"
_KIM_FILE = WeightFile(
    signature="MelBandRoformer",
    name="MelBandRoformer.ckpt",
    sha256="87201f4d31afb5bc79993230fc49446918425574db48c01c405e44f365c7559e",
    size=913_106_900,
    stem=None,
    hub_repository=_KIM_REPOSITORY,
    url=f"https://huggingface.co/{_KIM_REPOSITORY}/resolve/{_KIM_REVISION}/MelBandRoformer.ckpt",
)
_KIM_VOCALS = ModelSpec(
    "kim_vocals",
    (_KIM_FILE,),
    ("vocals",),
    _KIM_FILE.size,
    KIM_LICENCE,
    "Vocals and instrumental from Kimberley Jensen's Mel-Band RoFormer: better vocals than "
    "htdemucs_ft's by published figures.",
    f"Trained by Kimberley Jensen on songs that are not stated. SDR vocals 10.98 dB {_SDR}.",
    family="roformer",
    config={
        "audio": {"chunk_size": 352_800, "num_channels": 2, "sample_rate": 44_100},
        "model": {"stft_n_fft": 2048, "stft_hop_length": 441, "zero_dc": True},
        "training": {"instruments": ["vocals", "other"], "target_instrument": "vocals"},
        "inference": {"num_overlap": 2},
    },
    complement="instrumental",
    overlap=0.5,
)

_ALL = (_HTDEMUCS, _HTDEMUCS_FT, _HTDEMUCS_6S, _KIM_VOCALS, _HTDEMUCS_TINY)
MODELS = {model.name: model for model in _ALL}
ALIASES = {"4s": "htdemucs_ft", "6s": "htdemucs_6s"}


def resolve_name(name: str, others: Collection[str] = ()) -> str:
    """Return the canonical name of a model from its name or alias.

    Args:
        name: A name or an alias of the catalogue.
        others: Names of further models, for the message.

    Raises:
        ModelError: There is no such model; the message lists the existing ones.
    """
    canonical = ALIASES.get(name, name)
    if canonical not in MODELS:
        aliases = ", ".join(f"{alias} for {model}" for alias, model in ALIASES.items())
        names = ", ".join([*MODELS, *others])
        raise ModelError(f"there is no model {excerpt(name)!r}; there are {names} (and {aliases})")
    return canonical
