"""Installation of models: a file is downloaded and verified before it gets its final name.

Two servers are tried in turn. The first has the official files, whose SHA-256 is in the catalogue,
so any server may provide them: a mirror (``AISTEMSPLITTER_WEIGHTS_MIRROR``, a base URL) replaces
both. It is Demucs' server, or the one that the catalogue names for a file; then there is no second.

The second, the authors' repositories on the Hugging Face hub, has the same weights as
``.safetensors``, whose SHA-256 is not in the catalogue. Instead, the following is verified:

- The file is transferred by https and has the SHA-256 that the hub announces: it is undamaged and
  what the repository has today, though not necessarily what the authors once published.
- It is an HTDemucs with this model's stems, in order, with finite weights and as many parameters as
  the official file, so it is not another model by mistake.

Reading either format cannot execute code. The file is stored as ``SIGNATURE-DIGEST.safetensors``,
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
from aistemsplitter_engine.weights.combinations import COMBINATIONS
from aistemsplitter_engine.weights.store import find_file, find_files, models_folder
from aistemsplitter_engine.weights.transfer import FetchResult, RetryPolicy, discard, fetch, shown

OFFICIAL_URL = "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/"
HUB_URL = "https://huggingface.co/"
SIZE_TOLERANCE = 1.05  # maximum size of an official file, relative to the catalogue
HUB_SIZE_TOLERANCE = 2.5  # the same of a hub's file, which may be float32

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers that files are downloaded from.

    Attributes:
        official: Base URL of the official files; unless it is another one than the default, files
            with an address in the catalogue come from there.
        hub: Base URL of the hub, or None to leave it out.
        retries: Timeouts and retries for both.
    """

    official: str = OFFICIAL_URL
    hub: str | None = HUB_URL
    retries: RetryPolicy = field(default_factory=RetryPolicy)

    @staticmethod
    def from_environment() -> Servers:
        """Return the mirror that the environment names, or else the default servers."""
        if mirror := os.environ.get("AISTEMSPLITTER_WEIGHTS_MIRROR"):
            return Servers(mirror, None)
        return Servers()


class _WrongFileError(DownloadError):
    """A server sent another file than the requested one; no further server is tried."""


def install(
    model: str, *, on_progress: Progress | None = None, servers: Servers | None = None
) -> tuple[Path, ...]:
    """Download the weight files of a model that are not on this machine.

    Concurrent calls wait for each other, and interrupted downloads are resumed.

    Args:
        model: Name or alias of a model in the catalogue.
        on_progress: Called with the bytes done and the bytes in total, of all files of the model;
            of ``best``, of each of its models in turn.
        servers: Servers to download from; by default the authors' two, or the mirror whose base URL
            is in ``AISTEMSPLITTER_WEIGHTS_MIRROR``.

    Returns:
        The paths of all weight files of the model.

    Raises:
        ModelError: There is no such model.
        DownloadError: A file cannot be downloaded or stored, or is not the right one.
    """
    if model in COMBINATIONS:
        parts = COMBINATIONS[model].models
        return tuple(
            path
            for part in parts
            for path in install(part, on_progress=on_progress, servers=servers)
        )
    spec = MODELS[resolve_name(model)]
    sizes = {file: file.size for file in spec.files}
    done = dict.fromkeys(spec.files, 0)

    for file in spec.files:

        def on_bytes(arrived: int, total: int | None, file: WeightFile = file) -> None:
            done[file] = arrived
            sizes[file] = max(total or sizes[file], arrived)
            if on_progress is not None:
                on_progress(sum(done.values()), sum(sizes.values()))

        size = install_file(file, spec, on_bytes=on_bytes, servers=servers).stat().st_size
        on_bytes(size, size)
    return find_files(spec.name)


def install_file(
    file: WeightFile,
    spec: ModelSpec,
    *,
    on_bytes: Callable[[int, int | None], None] = lambda _done, _total: None,
    servers: Servers | None = None,
) -> Path:
    """Download one file of a model if it is not on this machine, and return its path.

    Raises:
        DownloadError: The file cannot be downloaded or stored, or is not the right one.
    """
    from filelock import FileLock

    servers = servers or Servers.from_environment()
    folder = models_folder()
    try:
        if found := find_file(file):
            return found
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{file.signature}.lock"):
            if found := find_file(file):  # another process has downloaded it
                return found
            return _fetch_from_servers(file, spec, folder, servers, on_bytes)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DownloadError(
            f"{file.name} ({file.size / 1e6:.0f} MB) cannot be stored in {folder}: "
            f"{'the disk is full' if full else error.strerror or error}; "
            "choose another folder with AISTEMSPLITTER_MODELS_DIR"
        ) from None


def _fetch_from_servers(
    file: WeightFile,
    spec: ModelSpec,
    folder: Path,
    servers: Servers,
    on_bytes: Callable[[int, int | None], None],
) -> Path:
    try:
        return _fetch_official(file, folder, servers, on_bytes)
    except _WrongFileError:
        raise
    except DownloadError as error:
        problem = str(error)
    if servers.hub is not None and file.url is None:
        try:
            return _fetch_from_hub(file, spec, folder, servers.hub, servers.retries, on_bytes)
        except _WrongFileError:
            raise
        except DownloadError as error:
            problem = f"{problem}; {error}"
    raise DownloadError(
        f"{file.name} of {spec.name} could not be downloaded: {problem}; try again, or set "
        "AISTEMSPLITTER_WEIGHTS_PATH to a folder that contains the file"
    )


def _fetch_official(
    file: WeightFile, folder: Path, servers: Servers, on_bytes: Callable[[int, int | None], None]
) -> Path:
    part = folder / f"{file.name}.part"
    url = f"{servers.official.rstrip('/')}/{file.name}"
    if file.url is not None and servers.official == OFFICIAL_URL:
        url = file.url
    limit = int(file.size * SIZE_TOLERANCE)
    _fetch_verified(url, part, limit, servers.retries, on_bytes, sha256=file.sha256)
    return _publish(part, folder / file.name)


def _fetch_from_hub(
    file: WeightFile,
    spec: ModelSpec,
    folder: Path,
    hub: str,
    retries: RetryPolicy,
    on_bytes: Callable[[int, int | None], None],
) -> Path:
    part = folder / f"{file.signature}.safetensors.part"
    url = f"{hub.rstrip('/')}/{file.hub_repository}/resolve/main/{file.signature}.safetensors"
    limit = int(file.size * HUB_SIZE_TOLERANCE)
    digest = _fetch_verified(url, part, limit, retries, on_bytes, sha256=None)
    try:
        _check_model(part, file, spec)
    except ModelError as error:
        discard(part)
        raise _WrongFileError(f"{shown(url)} is not {spec.name}: {error}; it was removed") from None
    return _publish(part, folder / f"{file.signature}-{digest[:8]}.safetensors")


def _fetch_verified(
    url: str,
    part: Path,
    limit: int,
    retries: RetryPolicy,
    on_bytes: Callable[[int, int | None], None],
    *,
    sha256: str | None,
) -> str:
    """Download a file, verify its SHA-256, and return that.

    The expected one is ``sha256``, or the one that the server announces if that is None.
    """

    def transfer() -> tuple[FetchResult, str, str | None]:
        result = fetch(url, part, limit=limit, retries=retries, on_bytes=on_bytes)
        return result, _sha256(part), sha256 or result.announced_sha256

    result, digest, expected = transfer()
    if digest != expected and result.resumed:
        discard(part)  # its parts may come from different files
        result, digest, expected = transfer()
    if expected is None:
        discard(part)
        raise DownloadError(f"{shown(url)} comes without a SHA-256 to verify it by: not trusted")
    if digest != expected:
        discard(part)
        raise _WrongFileError(
            f"{shown(url)} is the wrong file or damaged: its SHA-256 is {digest}, "
            f"not {expected}; it was removed"
        )
    return digest


def _check_model(part: Path, file: WeightFile, spec: ModelSpec) -> None:
    from aistemsplitter_engine.weights.checkpoint import parse_checkpoint

    checkpoint = parse_checkpoint(part.read_bytes())
    sources = checkpoint.arguments.get("sources")
    if sources != list(spec.sources):
        raise ModelError(f"its stems are {sources}, not {list(spec.sources)}")
    parameters = sum(tensor.size for tensor in checkpoint.tensors.values())
    if abs(parameters * 2 / file.size - 1) > 0.02:  # the official files have two bytes for each
        raise ModelError(f"it has {parameters} parameters")


def _publish(part: Path, target: Path) -> Path:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)
    discard(part)  # also deletes its validator
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
