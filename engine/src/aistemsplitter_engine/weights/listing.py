"""The models of the catalogue and the user's own, as seen from this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.catalogue import ALIASES, MODELS, ModelSpec
from aistemsplitter_engine.weights.combinations import COMBINATIONS, Combination
from aistemsplitter_engine.weights.registry import LocalModel, find_model, local_models
from aistemsplitter_engine.weights.store import find_files


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model, and where its weights are on this machine.

    Attributes:
        name: Canonical name.
        aliases: Other names.
        stems: Stems that are made by default: the model's own, in the order of the network's
            output, and the rest of a model with a single one.
        size: Size of all its weights together in bytes; 0 for a model of the user's own whose
            checkpoint is missing.
        licence: Licence of the weights, in one sentence.
        description: One sentence to choose by.
        origin: Who trained it and on what, and its SDR with the source, as far as it is known;
            empty for a model of the user's own.
        files: Paths of its weights, and of the YAML of a model of the user's own; empty if any
            are missing, damaged or changed.
    """

    name: str
    aliases: tuple[str, ...]
    stems: tuple[str, ...]
    size: int
    licence: str
    description: str
    origin: str
    files: tuple[Path, ...]

    @property
    def installed(self) -> bool:
        """True if all its weights are on this machine."""
        return bool(self.files)


def list_models() -> tuple[ModelInfo, ...]:
    """Return all models that can be requested by name, installed or not.

    The user's own models (:func:`add_model`) come last.

    Raises:
        ModelError: The file with the user's own models is damaged.
    """
    models = [*MODELS.values(), *COMBINATIONS.values(), *local_models().values()]
    return tuple(map(info_of, models))


def info_of(model: ModelSpec | LocalModel | Combination) -> ModelInfo:
    """Return what this machine has of a model."""
    if isinstance(model, Combination):
        return _info_of_combination(model)
    files = _files(model)
    if isinstance(model, LocalModel):
        size = sum(path.stat().st_size for path in files[:1])
    else:
        size = model.size
    return ModelInfo(
        name=model.name,
        aliases=tuple(alias for alias, name in ALIASES.items() if name == model.name),
        stems=model.stems,
        size=size,
        licence=model.licence,
        description=model.description,
        origin=model.origin if isinstance(model, ModelSpec) else "",
        files=files,
    )


def _info_of_combination(model: Combination) -> ModelInfo:
    found = [info for name in model.models if (info := _member(name)) is not None]
    is_complete = len(found) == len(model.models) and all(info.installed for info in found)
    return ModelInfo(
        name=model.name,
        aliases=(),
        stems=model.stems,
        size=sum(info.size for info in found),
        licence=f"those of {' and '.join(model.models)}",
        description=model.description,
        origin="",
        files=tuple(path for info in found for path in info.files) if is_complete else (),
    )


def _member(name: str) -> ModelInfo | None:
    """Return what this machine has of a combination's model, or None if it was removed."""
    try:
        model = find_model(name)
    except ModelError:
        return None
    return None if isinstance(model, Combination) else info_of(model)


def _files(model: ModelSpec | LocalModel) -> tuple[Path, ...]:
    try:
        if isinstance(model, ModelSpec):
            return find_files(model.name)
        model.check_files()
    except ModelError:
        return ()
    return (model.file,) if model.config is None else (model.file, model.config)
