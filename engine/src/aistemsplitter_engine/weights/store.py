"""Search for weight files on this machine, and verification of those found.

Folders are searched in this order:

1. the models folder of ``models install`` (``AISTEMSPLITTER_MODELS_DIR``, else in the user's data
   folder)
2. a folder of the user's own weight files (``AISTEMSPLITTER_WEIGHTS_PATH``)
3. PyTorch's hub cache, which Demucs uses (``TORCH_HOME``, else ``~/.cache/torch``)
4. the Hugging Face hub's cache, which Demucs 4.1 can use (``HF_HUB_CACHE``, ``HF_HOME``, else
   ``~/.cache/huggingface``)

Only the first one is written to. A file is used if its SHA-256 is correct: that in the catalogue
for an official file, and that in the file's name for the hub's ``.safetensors``, both in our
folder (see :mod:`~aistemsplitter_engine.weights.download`) and in the hub's cache. A file named
``SIGNATURE.safetensors`` in the user's own folder is not verified.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aistemsplitter_engine.errors import ModelNotInstalled
from aistemsplitter_engine.folders import data_folder, expanded
from aistemsplitter_engine.weights.catalogue import MODELS, WeightFile, resolve_name
from aistemsplitter_engine.weights.digests import sha256_of

TINY = Path(__file__).parent.parent / "models" / "htdemucs_tiny.safetensors"


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    sha256: str | None  # its first digits, or None if the file is not verified


def models_folder() -> Path:
    """Return the folder that models are installed into; it may not exist yet."""
    if chosen := os.environ.get("AISTEMSPLITTER_MODELS_DIR"):
        return expanded(chosen)
    return data_folder() / "models"


def folders() -> tuple[Path, ...]:
    """Return the folders that are searched for weights; they may not exist."""
    own = os.environ.get("AISTEMSPLITTER_WEIGHTS_PATH")
    torch_home = os.environ.get("TORCH_HOME") or f"{_cache_home()}/torch"
    return (
        models_folder(),
        *([expanded(own)] if own else []),
        expanded(torch_home) / "hub" / "checkpoints",
        _hub_cache(),
    )


def find_files(model: str) -> tuple[Path, ...]:
    """Return the model's weight files, in the order of its bag (see :class:`ModelSpec`).

    Raises:
        ModelNotInstalled: A file is missing or damaged; the message says how to install it.
        ModelError: There is no such model.
    """
    name = resolve_name(model)
    if name == "htdemucs_tiny":
        return (TINY,)
    found = tuple(find_file(file) for file in MODELS[name].files)
    paths = tuple(path for path in found if path is not None)
    if len(paths) == len(found):
        return paths
    damaged = [path for file in MODELS[name].files for path in _damaged(file)]
    reason = f"{damaged[0]} is damaged or another file" if damaged else "its weights were not found"
    raise ModelNotInstalled(
        f"the model {name} is not installed ({reason}); "
        f"install it with: aistemsplitter-local models install {name}"
    )


def is_installed(model: str) -> bool:
    """Return whether all weight files of a model are on this machine.

    Raises:
        ModelError: There is no such model.
    """
    try:
        find_files(model)
    except ModelNotInstalled:
        return False
    return True


def find_file(file: WeightFile) -> Path | None:
    """Return the path of a weight file with the correct content, or None."""
    return next((c.path for c in _candidates(file) if _matches(c)), None)


def _damaged(file: WeightFile) -> list[Path]:
    return [c.path for c in _candidates(file) if not _matches(c)]


def _matches(candidate: _Candidate) -> bool:
    if candidate.sha256 is None:
        return True
    try:
        digest = sha256_of(candidate.path, models_folder())
    except OSError:
        return False
    return digest.startswith(candidate.sha256)


def _candidates(file: WeightFile) -> Iterator[_Candidate]:
    """Yield the files that have one of the right names, whatever their content."""
    ours, *others, _ = folders()
    for folder in (ours, *others):
        if _is_file(path := folder / file.name):
            yield _Candidate(path, file.sha256)
        for path in _files(folder, f"{file.signature}-*.safetensors"):
            yield _Candidate(path, path.stem.split("-")[1])
        if folder != ours and _is_file(path := folder / f"{file.signature}.safetensors"):
            yield _Candidate(path, None)
    yield from _in_hub_cache(file)


def _in_hub_cache(file: WeightFile) -> Iterator[_Candidate]:
    repository = _hub_cache() / f"models--{file.hub_repository.replace('/', '--')}"
    for path in _files(repository, f"snapshots/*/{file.name}"):
        yield _Candidate(path, file.sha256)
    for path in _files(repository, f"snapshots/*/{file.signature}.safetensors"):
        # The hub's cache links to a file named by its SHA-256.
        digest = path.resolve().name
        if re.fullmatch("[0-9a-f]{64}", digest):
            yield _Candidate(path, digest)


def _hub_cache() -> Path:
    home = os.environ.get("HF_HOME") or f"{_cache_home()}/huggingface"
    return expanded(os.environ.get("HF_HUB_CACHE") or f"{home}/hub")


def _files(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(path for path in folder.glob(pattern) if _is_file(path))
    except OSError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder without permission
        return False


def _cache_home() -> str:
    return os.environ.get("XDG_CACHE_HOME") or "~/.cache"
