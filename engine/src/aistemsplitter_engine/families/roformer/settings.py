"""Settings of a model that its weights do not show.

Music-Source-Separation-Training (MSST) publishes them as a YAML file beside the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.roformer.sizes import Sizes
from aistemsplitter_engine.families.sources import check_sources
from aistemsplitter_engine.messages import excerpt

SAMPLE_RATE = 44_100
_SEGMENTS = range(1, 60 * SAMPLE_RATE + 1)
_FFTS = range(16, 16_384 + 1, 2)
_HOPS = range(1, 16_384 + 1)  # in relation to a frame, the configuration checks it
# Options of the network's constructor that do not change its output here.
_IGNORED = frozenset(
    {
        "attn_dropout", "ff_dropout", "flash_attn", "sage_attention", "use_torch_checkpoint",
        "mask_estimator_depth",  # counts in two ways; the weights show the layers
        "match_input_audio_length",  # only matters for chunks that are refused
        "multi_stft_resolution_loss_weight", "multi_stft_resolutions_window_sizes",
        "multi_stft_hop_size", "multi_stft_normalized", "multi_stft_window_fn",
        # Read elsewhere in this file.
        "stft_n_fft", "stft_hop_length", "stft_win_length", "zero_dc",
    }
)  # fmt: skip
# Options that have a single supported value. Another value means another network.
_FIXED: dict[str, tuple[Any, ...]] = {
    "stereo": (True,),
    "sample_rate": (SAMPLE_RATE,),
    "stft_normalized": (False, None),
    "linear_transformer_depth": (0, None),
    "skip_connection": (False, None),
    "use_shared_bias": (False, True, None),  # RoFormer.check refuses biases other than zero
    "use_pope": (False, None),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The checked content of a YAML.

    Attributes:
        model: Options of the network's constructor.
        nfft: Samples of a frame.
        hop: Samples between two frames.
        segment_frames: Samples of a segment.
        zero_dc: True if the estimates have no component of 0 Hz.
        overlap: Overlap of adjacent segments that the model's author recommends.
        sources: Names of the checkpoint's stems, in the order of its mask estimators.
        complement: Name of the stem that is the mixture minus the only source, or None.
    """

    model: Mapping[str, Any]
    nfft: int
    hop: int
    segment_frames: int
    zero_dc: bool
    overlap: float
    sources: tuple[str, ...]
    complement: str | None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Settings:
        """Check a YAML's content: sections audio, model, training and inference.

        Raises:
            ModelError: A value is missing, invalid or not supported. The message names it.
        """
        if not arguments:
            raise ModelError(
                "it is a RoFormer, which needs the YAML file published with it; "
                "pass that with --config or config="
            )
        audio, model, training, inference = (
            _section(arguments, name) for name in ("audio", "model", "training", "inference")
        )
        _check_supported(audio, model)
        nfft = _whole("model.stft_n_fft", model.get("stft_n_fft", 2048), _FFTS)
        if model.get("stft_win_length", nfft) != nfft:
            raise ModelError("its config has a model.stft_win_length other than its stft_n_fft")
        segment = inference.get("chunk_size", audio.get("chunk_size"))
        parts = _whole("inference.num_overlap", inference.get("num_overlap", 2), range(1, 101))
        zero_dc = model.get("zero_dc", True)
        if not isinstance(zero_dc, bool):
            raise ModelError(f"its config has model.zero_dc {zero_dc!r}, not true or false")
        sources, complement = _sources(training)
        return cls(
            model=model,
            nfft=nfft,
            hop=_whole("model.stft_hop_length", model.get("stft_hop_length", 512), _HOPS),
            segment_frames=_whole("audio.chunk_size", segment, _SEGMENTS),
            zero_dc=zero_dc,
            overlap=1 - 1 / parts,
            sources=sources,
            complement=complement,
        )

    def check_sizes(self, sizes: Sizes) -> None:
        """Check the options of the network's constructor against its weights.

        Raises:
            ModelError: One contradicts the weights or is unknown.
        """
        found: dict[str, Any] = {
            "dim": sizes.width,
            "depth": sizes.depth,
            "num_stems": sizes.stems,
            "time_transformer_depth": sizes.layers[0],
            "freq_transformer_depth": sizes.layers[1],
            "heads": sizes.heads,
            "dim_head": sizes.head_width,
            "dim_freqs_in": self.nfft // 2 + 1,
            "ff_mult": sizes.hidden / sizes.width,
            "mlp_expansion_factor": sizes.mask_width / sizes.width,
            **(
                {"num_bands": len(sizes.bands)}
                if sizes.mel
                else {"freqs_per_bands": list(sizes.bands)}
            ),
        }
        for name, value in self.model.items():
            if name in found:
                if value != found[name]:
                    raise ModelError(
                        f"its config has model.{name} {excerpt(value)}, "
                        f"but its weights have {excerpt(found[name])}"
                    )
            elif name not in _FIXED and name not in _IGNORED:
                raise ModelError(
                    f"its config has the option model.{excerpt(name)}, which is not supported"
                )


def name_stems(arguments: Mapping[str, Any], stems: Sequence[str]) -> dict[str, Any]:
    """Return a YAML's content with other names of the instruments.

    Those of a model with one target are the target and, if there is a second name, the rest.

    Raises:
        ModelError: The section with the names is invalid, or there is more than one rest.
    """
    training = _section(arguments, "training")
    has_target = training.get("target_instrument") is not None
    if has_target and len(stems) > 2:
        raise ModelError(f"it has one stem and the rest, not the {len(stems)} that were named")
    target = stems[0] if has_target else None
    named = {**training, "instruments": list(stems), "target_instrument": target}
    return {**arguments, "training": named}


def _check_supported(audio: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    for name, allowed in _FIXED.items():
        if name in model and not any(model[name] is a or model[name] == a for a in allowed):
            raise ModelError(f"its config has model.{name} {excerpt(model[name])}, not supported")
    if audio.get("sample_rate", SAMPLE_RATE) != SAMPLE_RATE:
        raise ModelError(
            f"its config has audio.sample_rate {excerpt(audio['sample_rate'])}, "
            f"only {SAMPLE_RATE} is supported"
        )
    if audio.get("num_channels", 2) != 2:
        raise ModelError("its config has another audio.num_channels than 2")


def _sources(training: Mapping[str, Any]) -> tuple[tuple[str, ...], str | None]:
    """Return the names of the sources, and that of the mixture minus the only one."""
    instruments, target = training.get("instruments"), training.get("target_instrument")
    if not isinstance(instruments, list) or not all(isinstance(i, str) for i in instruments):
        raise ModelError("its config has no training.instruments, the names of its stems")
    names = tuple(name.lower() for name in instruments)
    if target is None:
        check_sources(names, reserved=("residual",))
        return names, None
    if target not in instruments:
        raise ModelError(
            f"its config has training.target_instrument {excerpt(target)}, "
            "which is not among its instruments"
        )
    source = str(target).lower()
    others = [name for name in names if name != source]
    complement = "instrumental" if source == "vocals" else others[0] if len(others) == 1 else None
    check_sources((source, *([complement] if complement else [])), reserved=("residual",))
    return (source,), complement


def _section(arguments: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = arguments.get(name, {})
    if not isinstance(section, dict):
        raise ModelError(f"its config's section {name} is not a mapping")
    return section


def _whole(name: str, value: Any, allowed: Sequence[int]) -> int:
    if value is None:
        raise ModelError(f"its config has no {name}")
    if type(value) is not int or value not in allowed:
        raise ModelError(f"its config has {name} {excerpt(value)}, not supported")
    return value
