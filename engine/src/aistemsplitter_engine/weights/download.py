"""Installing models: fetch, verify, and only then let the file appear under its name.

Two homes are tried in turn. The first holds the official ``.th`` files, whose SHA-256 the catalogue
knows, so it does not matter who serves them: a mirror (``AISTEMSPLITTER_WEIGHTS_MIRROR``, a base
URL) takes the place of both.

The second, the authors' repositories on the Hugging Face hub, holds the same weights as
``.safetensors``. The catalogue has no SHA-256 for those. What is checked instead, and what that
shows:

- https, and the SHA-256 that the hub announces for the file against what arrived: it is unharmed
  and what the repository holds today. It does not show that the repository still holds what its
  authors once put there.
- It is an HTDemucs with this model's stems, in order, with finite weights and as many parameters as
  the official file: it is not another model by mistake.

Neither format can run code when it is read. The file is kept as ``SIGNATURE-DIGEST.safetensors``,
so that later damage is noticed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aistemsplitter_engine.errors import DownloadError, ModelError
from aistemsplitter_engine.weights.catalogue import MODELS, ModelSpec, WeightFile, resolve_name
from aistemsplitter_engine.weights.store import find_file, find_files, models_folder
from aistemsplitter_engine.weights.transfer import Arrival, Patience, discard, fetch, shown

OFFICIAL_HOME = "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/"
HUB_HOME = "https://huggingface.co/"
SLACK = 1.05  # of an official file over its size in the catalogue
HUB_SLACK = 2.5  # of a hub file: it may hold float32

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Homes:
    """Where files are fetched from.

    Attributes:
        official: base URL of the official ``.th`` files.
        hub: base URL of the hub, None for no second home.
        patience: with either of them.
    """

    official: str = OFFICIAL_HOME
    hub: str | None = HUB_HOME
    patience: Patience = field(default_factory=Patience)

    @staticmethod
    def from_environment() -> Homes:
        """The homes, or the mirror of the setting."""
        if mirror := os.environ.get("AISTEMSPLITTER_WEIGHTS_MIRROR"):
            return Homes(mirror, None)
        return Homes()


class _ContentError(DownloadError):
    """What arrived is not what was asked for: no reason to try elsewhere quietly."""


def install(
    model: str, *, on_progress: Progress | None = None, homes: Homes | None = None
) -> tuple[Path, ...]:
    """Fetch those of the model's files that are not on this machine yet.

    Safe to run twice at once: the second waits, and finds the work done. Interrupted, it resumes.

    Args:
        model: a name of the catalogue or an alias.
        on_progress: called with the bytes done and to do, over all files of the model.
        homes: where from; the environment says by default.

    Returns:
        The files in bag order, as :func:`find_files` gives them.

    Raises:
        ModelError: there is no such model.
        DownloadError: a file could not be fetched or stored, or was not the right one.
    """
    spec = MODELS[resolve_name(model)]
    sizes = {file: file.size for file in spec.files}
    done = dict.fromkeys(spec.files, 0)

    for file in spec.files:

        def on_bytes(arrived: int, total: int | None, file: WeightFile = file) -> None:
            done[file] = arrived
            sizes[file] = max(total or sizes[file], arrived)
            if on_progress is not None:
                on_progress(sum(done.values()), sum(sizes.values()))

        size = install_file(file, spec, on_bytes=on_bytes, homes=homes).stat().st_size
        on_bytes(size, size)
    return find_files(spec.name)


def install_file(
    file: WeightFile,
    spec: ModelSpec,
    *,
    on_bytes: Callable[[int, int | None], None] = lambda _done, _total: None,
    homes: Homes | None = None,
) -> Path:
    """The same for one file of a model.

    Raises:
        DownloadError: as :func:`install`.
    """
    from filelock import FileLock

    homes = homes or Homes.from_environment()
    folder = models_folder()
    try:
        if found := find_file(file):
            return found
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{file.signature}.lock"):
            if found := find_file(file):  # the one before us fetched it
                return found
            return _fetch_from_homes(file, spec, folder, homes, on_bytes)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DownloadError(
            f"{file.name} ({file.size / 1e6:.0f} MB) cannot be stored in {folder}: "
            f"{'the disk is full' if full else error.strerror or error}; "
            "AISTEMSPLITTER_MODELS_DIR names another folder"
        ) from None


def _fetch_from_homes(
    file: WeightFile,
    spec: ModelSpec,
    folder: Path,
    homes: Homes,
    on_bytes: Callable[[int, int | None], None],
) -> Path:
    try:
        return _fetch_official(file, folder, homes, on_bytes)
    except _ContentError:
        raise
    except DownloadError as error:
        problem = str(error)
    if homes.hub is not None:
        try:
            return _fetch_from_hub(file, spec, folder, homes.hub, homes.patience, on_bytes)
        except _ContentError:
            raise
        except DownloadError as error:
            problem = f"{problem}; {error}"
    raise DownloadError(
        f"{file.name} of {spec.name} could not be downloaded: {problem}; try again, or put the "
        "file into a folder and name that in AISTEMSPLITTER_WEIGHTS_PATH"
    )


def _fetch_official(
    file: WeightFile, folder: Path, homes: Homes, on_bytes: Callable[[int, int | None], None]
) -> Path:
    part = folder / f"{file.name}.part"
    url = f"{homes.official.rstrip('/')}/{file.name}"
    limit = int(file.size * SLACK)
    _fetch_verified(url, part, limit, homes.patience, on_bytes, sha256=file.sha256)
    return _publish(part, folder / file.name)


def _fetch_from_hub(
    file: WeightFile,
    spec: ModelSpec,
    folder: Path,
    hub: str,
    patience: Patience,
    on_bytes: Callable[[int, int | None], None],
) -> Path:
    part = folder / f"{file.signature}.safetensors.part"
    url = f"{hub.rstrip('/')}/{file.hub_repository}/resolve/main/{file.signature}.safetensors"
    limit = int(file.size * HUB_SLACK)
    digest = _fetch_verified(url, part, limit, patience, on_bytes, sha256=None)
    try:
        _check_model(part, file, spec)
    except ModelError as error:
        discard(part)
        raise _ContentError(f"{shown(url)} is not {spec.name}: {error}; it was removed") from None
    return _publish(part, folder / f"{file.signature}-{digest[:8]}.safetensors")


def _fetch_verified(
    url: str,
    part: Path,
    limit: int,
    patience: Patience,
    on_bytes: Callable[[int, int | None], None],
    *,
    sha256: str | None,
) -> str:
    """Fetch until the file has ``sha256``, or the one that the server announces; returns it."""

    def arrive() -> tuple[Arrival, str, str | None]:
        arrival = fetch(url, part, limit=limit, patience=patience, on_bytes=on_bytes)
        return arrival, _sha256(part), sha256 or arrival.announced_sha256

    arrival, digest, expected = arrive()
    if digest != expected and arrival.resumed:
        discard(part)  # the pieces may not have been of one file
        arrival, digest, expected = arrive()
    if expected is None:
        discard(part)
        raise DownloadError(f"{shown(url)} comes without its SHA-256, and so is not trusted")
    if digest != expected:
        discard(part)
        raise _ContentError(
            f"{shown(url)} is the wrong file or damaged: its SHA-256 is {digest}, "
            f"not {expected}; it was removed"
        )
    return digest


def _check_model(part: Path, file: WeightFile, spec: ModelSpec) -> None:
    from aistemsplitter_engine.weights.checkpoint import parse_checkpoint

    checkpoint = parse_checkpoint(part.read_bytes())
    sources = checkpoint.arguments.get("sources")
    if sources != list(spec.sources):
        raise ModelError(f"its stems are {sources}")
    parameters = sum(tensor.size for tensor in checkpoint.tensors.values())
    if abs(parameters * 2 / file.size - 1) > 0.02:  # the official files hold two bytes for each
        raise ModelError(f"it has {parameters} parameters")


def _publish(part: Path, target: Path) -> Path:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)
    discard(part)  # the validator beside it
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
