"""Registration of a checkpoint on this machine as a model with a name of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families import open_network
from aistemsplitter_engine.messages import printable
from aistemsplitter_engine.pipeline.checkpoints import default_stems, naming, read_checkpoint
from aistemsplitter_engine.weights.catalogue import ModelSpec
from aistemsplitter_engine.weights.combinations import Combination, parse_combination
from aistemsplitter_engine.weights.config_file import read_config
from aistemsplitter_engine.weights.digests import sha256_of
from aistemsplitter_engine.weights.listing import ModelInfo, info_of
from aistemsplitter_engine.weights.registry import (
    UNKNOWN_LICENCE,
    LocalModel,
    check_new_name,
    find_model,
    write_model,
)
from aistemsplitter_engine.weights.store import models_folder


def add_model(
    name: str,
    file: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    stems: Sequence[str] | None = None,
    licence: str | None = None,
    description: str | None = None,
) -> ModelInfo:
    """Register a checkpoint on this machine under a name, for :class:`Separator` and ``--model``.

    The checkpoint is read and verified. It stays where it is, and is refused once its content has
    changed. The entry is written to ``models.yaml`` in the models folder.

    Args:
        name: Name of the model: letters, digits, ``_`` and ``-``.
        file: Path of a checkpoint of an HTDemucs, a Mel-Band RoFormer or a BS-RoFormer.
        config: Path of a RoFormer's YAML.
        stems: Names of the stems in the order of the network's outputs, in place of those in the
            checkpoint or its YAML.
        licence: Licence of the weights, in one sentence.
        description: One sentence to choose by.

    Raises:
        ModelError: The name is taken or invalid, or the checkpoint is missing, damaged or not
            supported.
    """
    check_new_name(name)
    path = Path(file).absolute()
    config_path = None if config is None else Path(config).absolute()
    model = LocalModel(
        name,
        path,
        _stems(path, config_path, stems),
        config_path,
        sha256=_sha256(path),
        config_sha256=None if config_path is None else _sha256(config_path),
        licence=_line(licence) or UNKNOWN_LICENCE,
        description=_line(description) or f"A model of your own, {printable(path.name)}.",
    )
    write_model(model)
    return info_of(model)


def add_ensemble(
    name: str,
    weights: Mapping[str, float],
    stems: Sequence[str],
    *,
    description: str | None = None,
) -> ModelInfo:
    """Register the weighted average of several models' stems under a name.

    The models need not be installed. The entry is written to ``models.yaml``.

    Args:
        name: Name of the ensemble.
        weights: Weight of each model by its name.
        stems: Stems that are averaged, which all the models have.
        description: One sentence to choose by.

    Raises:
        ModelError: The name is taken or invalid, or a model is missing or lacks a stem.
    """
    check_new_name(name)
    names = [stem.casefold() for stem in stems]
    entry: dict[str, Any] = {"ensemble": dict(weights), "stems": names}
    if description:
        entry["description"] = _line(description)
    combination = parse_combination(name, entry)
    for member in weights:
        model = find_model(member)
        if isinstance(model, Combination):
            raise ModelError(f"{member} is a combination, which cannot be part of another one")
        for stem in names:
            if stem not in (model.sources if isinstance(model, ModelSpec) else model.stems):
                made = ", ".join(model.stems)
                raise ModelError(f"{member} has no network for {stem!r}; its stems are {made}")
    found = info_of(combination)
    write_model(combination)
    return found


def _stems(path: Path, config: Path | None, stems: Sequence[str] | None) -> tuple[str, ...]:
    """Return the stems that a checkpoint makes by default, after verifying all of it."""
    if isinstance(stems, str) or (stems is not None and not stems):
        raise ModelError(f"stems are a list of names, not {stems!r}")
    checkpoint = read_checkpoint(path, None if config is None else read_config(config), stems)
    with naming(path):
        network = open_network(checkpoint)
        network.check(checkpoint.tensors)
        return default_stems(network.sources, network.complement, stems)


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path, models_folder())
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"the model {printable(path)} cannot be read: {reason}") from None


def _line(text: str | None) -> str:
    return " ".join(printable(text or "").split())
