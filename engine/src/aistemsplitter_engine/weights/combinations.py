"""Combinations of models: ``best``, and those that users write into ``models.yaml``.

A combination has steps. The first one separates the mixture, each further one what the stems of the
steps before it leave of the mixture. A step's stems come from one model, or are the weighted
averages of several models' estimates (an ensemble).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.messages import excerpt


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a combination.

    Attributes:
        weights: Weight of each model's estimates by the model's name; they add up to 1.
        stems: Stems that the step makes.
    """

    weights: Mapping[str, float]
    stems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """A model that consists of others.

    Attributes:
        name: Its name.
        steps: Its steps, in order.
        description: One sentence to choose by.
    """

    name: str
    steps: tuple[Step, ...]
    description: str

    @property
    def stems(self) -> tuple[str, ...]:
        """Stems that are made by default."""
        return tuple(stem for step in self.steps for stem in step.stems)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of its models, each once."""
        return tuple(dict.fromkeys(name for step in self.steps for name in step.weights))


BEST = Combination(
    "best",
    (
        Step({"kim_vocals": 1.0}, ("vocals",)),
        Step({"htdemucs_ft": 1.0}, ("drums", "bass", "other")),
    ),
    "Vocals by kim_vocals; drums, bass and other by htdemucs_ft from the mixture minus those "
    "vocals. Not measured.",
)
COMBINATIONS = {BEST.name: BEST}


def parse_combination(name: str, entry: Mapping[str, Any]) -> Combination:
    """Return the combination of an entry in ``models.yaml``.

    It has ``ensemble`` (weights by model) and ``stems``, or ``steps``, a list of such mappings, in
    which ``model`` takes the place of an ensemble of one.

    Raises:
        ModelError: The entry is not valid.
    """
    if "steps" in entry:
        _check_keys(entry, ("steps", "description"))
        listed = entry["steps"]
        if not isinstance(listed, list) or not listed:
            raise ModelError("steps is not a list")
        steps = tuple(_step(step, ("model", "ensemble", "stems")) for step in listed)
        default = "A combination of models of your own."
    else:
        steps = (_step(entry, ("ensemble", "stems", "description")),)
        default = "An ensemble of models of your own."
    made = [stem for step in steps for stem in step.stems]
    if len(set(made)) < len(made):
        raise ModelError("two of its stems have the same name")
    description = entry.get("description", default)
    if not isinstance(description, str):
        raise ModelError("description is not text")
    return Combination(name, steps, description)


def _step(entry: Any, keys: Sequence[str]) -> Step:
    if not isinstance(entry, Mapping):
        raise ModelError("a step is not a mapping with model and stems")
    _check_keys(entry, keys)
    if ("model" in entry) == ("ensemble" in entry):
        raise ModelError("a step needs either model or ensemble")
    if not isinstance(entry.get("model", ""), str):
        raise ModelError(f"{excerpt(entry['model'])} is not the name of a model")
    weights = entry["ensemble"] if "ensemble" in entry else {entry["model"]: 1}
    if not isinstance(weights, Mapping) or not weights:
        raise ModelError("ensemble has no weights by model, such as {kim_vocals: 0.6, ...}")
    for model, weight in weights.items():
        if type(weight) not in (int, float) or not 0 < weight < math.inf:
            raise ModelError(f"the weight of {excerpt(model)} is not a number above 0")
    stems = entry.get("stems")
    if not isinstance(stems, list) or not stems or not all(isinstance(s, str) for s in stems):
        raise ModelError("stems is missing or not a list of names, such as [vocals]")
    total = sum(weights.values())
    return Step({model: weight / total for model, weight in weights.items()}, tuple(stems))


def _check_keys(entry: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in entry:
        if key not in keys:
            raise ModelError(f"unknown setting {excerpt(key)}; use {', '.join(keys)}")
