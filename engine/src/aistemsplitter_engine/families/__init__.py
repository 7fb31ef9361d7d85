"""Families of models: how networks of one kind are computed, and how they treat a track."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aistemsplitter_engine.families.base import Family, Network
from aistemsplitter_engine.families.htdemucs.family import HTDemucsFamily
from aistemsplitter_engine.families.roformer.family import RoFormerFamily
from aistemsplitter_engine.weights.checkpoint import Checkpoint

FAMILIES: Mapping[str, Family] = {
    "htdemucs": HTDemucsFamily(),
    "roformer": RoFormerFamily(),
}
"""All families, by the names that checkpoints and the catalogue use."""


def open_network(checkpoint: Checkpoint, sources: Collection[str] | None = None) -> Network:
    """Return the network of a checkpoint, for some of its sources or, by default, all.

    Raises:
        ModelError: The checkpoint is for a network that is not supported.
    """
    network = FAMILIES[checkpoint.family].open(checkpoint)
    return network if sources is None else network.only(sources)
