"""Opening a model, or a combination of models, with the options to separate by."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.options import Device, Precision
from aistemsplitter_engine.pipeline.model import Model, find
from aistemsplitter_engine.pipeline.separation import Separation, TrackSeparation
from aistemsplitter_engine.pipeline.stem_names import StemModel
from aistemsplitter_engine.weights.combinations import Combination


def open_separation(
    version: str,
    name: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None,
    device: Device,
    precision: Precision,
    shifts: int,
    seed: int | None,
    overlap: float | None,
    batch_size: int | None,
    download: bool,
    on_download: Callable[[int, int], None] | None,
) -> tuple[StemModel, TrackSeparation]:
    """Return a model, and the separation of tracks by it, with the options of Separator.

    Raises:
        OptionError: An option does not go with the model.
        ModelError: There is no such model, or it cannot be used.
    """
    open_model = partial(
        Model, device=device, precision=precision, download=download, on_download=on_download
    )
    found = find(name)
    if isinstance(found, Combination):
        if config is not None:
            raise OptionError(f"{found.name} has no config; leave out {config}")
        if shifts:
            raise OptionError(f"{found.name} has no shifts, only HTDemucs has; leave them out")
        from aistemsplitter_engine.pipeline.combined import CombinedModel, CombinedSeparation

        combined = CombinedModel(found, open_model)
        return combined, CombinedSeparation(version, combined, overlap, batch_size)
    model = open_model(name, config=config)
    if shifts and not model.family.has_shifts:
        raise OptionError(f"{model.name} has no shifts, only HTDemucs has; leave them out")
    seed = seed if shifts else None  # without shifts, nothing is drawn
    share = model.overlap if overlap is None else overlap
    return model, Separation(version, model, shifts, seed, share, batch_size)
