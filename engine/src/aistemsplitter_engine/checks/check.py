"""The steps of ``models check``: digests of a model's files, its sample, and the comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio import AudioFile, resample
from aistemsplitter_engine.checks.references import Member
from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.messages import printable
from aistemsplitter_engine.pipeline.checkpoints import read_checkpoint
from aistemsplitter_engine.separator import Separator
from aistemsplitter_engine.weights.catalogue import ModelSpec, WeightFile
from aistemsplitter_engine.weights.config_file import read_config
from aistemsplitter_engine.weights.registry import LocalModel
from aistemsplitter_engine.weights.store import find_files

SAMPLE = Path(__file__).parent.parent / "models" / "sample.opus"
SAMPLE_RATE = 44_100
TOLERANCE = 1e-4
"""Largest difference from the reference's stems that passes, as a fraction of full scale."""
REFERENCES = {"htdemucs": "demucs", "roformer": "pymss-core"}
"""The package of each family that its stems are compared with."""


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file of a model.

    Attributes:
        path: The file.
        sha256: Its SHA-256 in hex.
        known: True if it is the expected one; False if none is known.
    """

    path: Path
    sha256: str
    known: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between our stem and the reference's.

    Attributes:
        stem: Its name.
        largest: The largest one of a sample, as a fraction of full scale; infinite if the
            reference's stem is not finite.
        snr: Level of the stem over that of the difference in dB.
    """

    stem: str
    largest: float
    snr: float


def check_files(model: ModelSpec | LocalModel) -> Iterator[CheckedFile]:
    """Read a model's files and yield their digests, which are not taken from the record.

    Raises:
        ModelNotInstalled: A file is missing.
        ModelError: A file has another digest than the expected one.
    """
    for path, expected in _expected(model):
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            reason = error.strerror or error
            raise ModelError(f"{printable(path)} cannot be read: {reason}") from None
        if expected is not None and not digest.startswith(expected):
            raise ModelError(
                f"{printable(path)} is damaged or another file: its SHA-256 is {digest}, "
                f"not {expected}"
            )
        yield CheckedFile(path, digest, expected is not None)


def _expected(model: ModelSpec | LocalModel) -> Iterator[tuple[Path, str | None]]:
    """Yield a model's files and the first digits of their SHA-256, as far as known."""
    if isinstance(model, LocalModel):
        yield model.file, model.sha256
        if model.config is not None:
            yield model.config, model.config_sha256
        return
    paths = find_files(model.name)
    files: list[WeightFile | None] = [*model.files] or [None]
    for path, file in zip(paths, files, strict=True):
        if file is not None and path.name == file.name:
            yield path, file.sha256
        elif file is not None and path.name.startswith(f"{file.signature}-"):
            yield path, path.stem.split("-")[1]
        else:
            yield path, None


def sample() -> FloatArray:
    """Return the sample (2, n): 9 seconds of music that was made for this project."""
    song = AudioFile(SAMPLE)
    blocks = [*song.blocks()]
    frames = sum(block.shape[1] for block in blocks) * SAMPLE_RATE // song.sample_rate
    return np.concatenate([*resample(blocks, song.sample_rate, SAMPLE_RATE, frames)], axis=1)


def separate_sample(separator: Separator, mixture: FloatArray) -> dict[str, FloatArray]:
    """Separate the sample into all of a model's own stems.

    Raises:
        ModelError: A stem is not finite, or all are silent.
    """
    stems = separator.separate_array(mixture, SAMPLE_RATE).stems
    for name, samples in stems.items():
        if not np.isfinite(samples).all():
            raise ModelError(f"{separator.model}: its stem {name} of the sample is not finite")
    if not any(samples.any() for samples in stems.values()):
        raise ModelError(f"{separator.model}: all its stems of the sample are silent")
    return stems


def members(model: ModelSpec | LocalModel) -> list[Member]:
    """Return a model's checkpoints, for the reference."""
    if isinstance(model, LocalModel):
        config = None if model.config is None else read_config(model.config)
        return [Member(model.file, config, model.stems, None)]
    stems = [file.stem for file in model.files] or [None]
    paths = find_files(model.name)
    return [Member(path, model.config, None, stem) for path, stem in zip(paths, stems, strict=True)]


def family_of(model: ModelSpec | LocalModel) -> str:
    """Return the name of a model's family."""
    if isinstance(model, ModelSpec):
        return model.family
    (member,) = members(model)
    return read_checkpoint(member.path, member.config, member.names).family


def reference_version(family: str) -> str | None:
    """Return name and version of a family's reference package, or None if it is not installed."""
    package = REFERENCES[family]
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None


def differences(
    stems: Mapping[str, FloatArray], references: Mapping[str, FloatArray]
) -> list[Difference]:
    """Return the differences of the stems from the reference's."""
    found = []
    for name, reference in references.items():
        error = stems[name].astype(np.float64) - reference
        signal, noise = np.square(reference, dtype=np.float64).sum(), np.square(error).sum()
        snr = 10 * np.log10(signal / noise) if noise and signal else np.inf if signal else 0.0
        largest = np.nan_to_num(np.abs(error).max(), nan=np.inf)
        found.append(Difference(name, float(largest), float(snr)))
    return found
