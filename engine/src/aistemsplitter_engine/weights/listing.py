"""The models of the catalogue as seen from this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aistemsplitter_engine.errors import ModelNotInstalled
from aistemsplitter_engine.weights.catalogue import ALIASES, MODELS
from aistemsplitter_engine.weights.store import find_files


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model, and where its weights are on this machine.

    Attributes:
        name: Canonical name.
        aliases: Other names.
        stems: Stems that are made by default: the model's own, in the order of the network's
            output, and the rest of a model with a single one.
        size: Size of all its files together in bytes.
        licence: Licence of the weights, in one sentence.
        description: One sentence to choose by.
        files: Paths of its weights; empty if any are missing or damaged.
    """

    name: str
    aliases: tuple[str, ...]
    stems: tuple[str, ...]
    size: int
    licence: str
    description: str
    files: tuple[Path, ...]

    @property
    def installed(self) -> bool:
        """True if all its weights are on this machine."""
        return bool(self.files)


def list_models() -> tuple[ModelInfo, ...]:
    """Return all models that can be requested by name, installed or not."""
    return tuple(
        ModelInfo(
            name=model.name,
            aliases=tuple(alias for alias, name in ALIASES.items() if name == model.name),
            stems=model.stems,
            size=model.size,
            licence=model.licence,
            description=model.description,
            files=_files(model.name),
        )
        for model in MODELS.values()
    )


def _files(name: str) -> tuple[Path, ...]:
    try:
        return find_files(name)
    except ModelNotInstalled:
        return ()
