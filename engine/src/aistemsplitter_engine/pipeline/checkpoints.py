"""Checkpoints, by path or by the name that a user has registered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families import FAMILIES
from aistemsplitter_engine.messages import printable
from aistemsplitter_engine.weights.checkpoint import Checkpoint, load_checkpoint


def read_checkpoint(
    path: Path, config: Mapping[str, Any] | None, stems: Sequence[str] | None = None
) -> Checkpoint:
    """Read a checkpoint, whose weights are read on first access.

    Args:
        path: Its file.
        config: Content of a RoFormer's YAML.
        stems: Names of its stems in place of its own, as for :meth:`Family.name_stems`.

    Raises:
        ModelError: The file does not exist, is damaged, or has another number of stems.
    """
    checkpoint = load_checkpoint(path, config=config, lazy=True)
    if stems is None:
        return checkpoint
    with naming(path):
        arguments = FAMILIES[checkpoint.family].name_stems(checkpoint.arguments, stems)
    if arguments == checkpoint.arguments:
        return checkpoint
    # A run is resumed only if the names of its stems are the same, too.
    digest = hashlib.sha256(repr((checkpoint.digest, *stems)).encode()).hexdigest()
    return replace(checkpoint, arguments=arguments, digest=digest)


def default_stems(
    sources: tuple[str, ...], complement: str | None, named: Sequence[str] | None
) -> tuple[str, ...]:
    """Return the stems that a network makes by default.

    Args:
        sources: Stems of the network.
        complement: Name of the mixture minus the only source, or None.
        named: The names that it was given, in any case; that of the rest may be missing.

    Raises:
        ModelError: The rest has another name than the given one.
    """
    made = sources if complement is None else (*sources, complement)
    folded = [name.casefold() for name in (made if named is None else named)]
    if folded not in ([name.casefold() for name in made[:n]] for n in (len(sources), len(made))):
        raise ModelError(f"its stems are {', '.join(made)}, not {', '.join(named or ())}")
    return made


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the name of a checkpoint's file to the errors raised within."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{printable(path)} cannot be used as a model: {error}") from error
