"""Families of models: how networks of one kind are computed, and how they treat a track."""

from __future__ import annotations

from collections.abc import Mapping

from aistemsplitter_engine.families.base import Family, Network
from aistemsplitter_engine.families.htdemucs.family import HTDemucsFamily
from aistemsplitter_engine.weights.checkpoint import Checkpoint

FAMILIES: Mapping[str, Family] = {"htdemucs": HTDemucsFamily()}
"""All families, by the names that checkpoints and the catalogue use."""


def open_network(checkpoint: Checkpoint) -> Network:
    """Return the network of a checkpoint.

    Raises:
        ModelError: The checkpoint is for a network that is not supported.
    """
    return FAMILIES[checkpoint.family].open(checkpoint.arguments)
