"""Downloading a model's weights when ``split`` needs them for the first time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aistemsplitter_engine.errors import ModelNotInstalled

if TYPE_CHECKING:
    from aistemsplitter_engine.separator import Separator


def opened(
    open_separator: Callable[[], Separator],
    model: str,
    stems: Sequence[str] | None,
    download: bool | None,
) -> Separator:
    """Open a separator, and download its model's weights if they are missing.

    With ``download`` None, they are downloaded only if standard error is a terminal: the licence of
    the weights is for a person to judge, and a script must not start to download unexpectedly.

    Raises:
        OptionError: The model has no such stem.
        ModelNotInstalled: The weights are missing and not downloaded.
        DownloadError: They cannot be downloaded or stored.
    """
    try:
        return open_separator()
    except ModelNotInstalled:
        if not (_shows_licence() if download is None else download):
            raise
    from aistemsplitter_engine.cli.models import install_model, parts_of
    from aistemsplitter_engine.pipeline.stem_names import choose_stems
    from aistemsplitter_engine.weights.catalogue import ModelSpec
    from aistemsplitter_engine.weights.registry import find_model

    found = find_model(model)
    if isinstance(found, ModelSpec):
        choose_stems(found.name, found.sources, found.complement, stems)
    else:
        choose_stems(found.name, found.stems, None, stems)
    for part in parts_of(model):
        if not isinstance(part, str):
            install_model(part, to_stderr=True)
    return open_separator()


def _shows_licence() -> bool:
    return sys.stderr.isatty()
