"""A model by name or path: its stems and its networks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aistemsplitter_engine.errors import ModelError, OptionError, SeparatorClosed
from aistemsplitter_engine.families import FAMILIES, open_network
from aistemsplitter_engine.families.base import Meter
from aistemsplitter_engine.options import Device, Precision
from aistemsplitter_engine.pipeline.batches import Batches
from aistemsplitter_engine.pipeline.checkpoints import default_stems, naming, read_checkpoint
from aistemsplitter_engine.pipeline.separate import Part
from aistemsplitter_engine.pipeline.stem_names import StemModel
from aistemsplitter_engine.runtimes import Runtime, free_device_memory, open_runtime
from aistemsplitter_engine.weights.catalogue import ALIASES, MODELS, ModelSpec, resolve_name
from aistemsplitter_engine.weights.checkpoint import Checkpoint
from aistemsplitter_engine.weights.combinations import Combination
from aistemsplitter_engine.weights.store import find_files

if TYPE_CHECKING:
    from aistemsplitter_engine.weights.registry import LocalModel

_SUFFIXES = (".th", ".ckpt", ".pt", ".pth", ".safetensors")  # of checkpoints


@dataclass(frozen=True, slots=True)
class _Member:
    """One file of a model, and the only stem that it is used for, or None for all."""

    path: Path
    stem: str | None


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A file's network and digest, and the windows that wait for it."""

    runtime: Runtime
    digest: str
    batches: Batches


class Model(StemModel):
    """A model, whose networks are loaded when a stem first needs them, and then kept.

    ``name`` is a name or alias from the catalogue, the name of a model of the user's own, or the
    path of a checkpoint, whose YAML is at ``config`` if it has one. With ``download``, missing
    files of the catalogue's models are installed; ``on_download`` is called with the bytes done and
    the bytes in total. Threads may share a model.

    Attributes:
        family: Family of its networks.
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        device: Device,
        precision: Precision,
        *,
        config: str | os.PathLike[str] | None = None,
        download: bool = False,
        on_download: Callable[[int, int], None] | None = None,
    ) -> None:
        self._closed = False
        self._loading = threading.Lock()
        self._loaded: dict[Path, _Loaded] = {}
        self._read: dict[Path, Checkpoint] = {}  # read, but not loaded yet
        self._named: tuple[str, ...] | None = None  # stems, by a user's entry
        found = find(name)
        assert not isinstance(found, Combination)  # open_separation opens those
        if found is not None and config is not None:
            raise OptionError(f"{found.name} has its own config; leave out {config}")
        if isinstance(found, ModelSpec):
            self._open = open_runtime(device, precision)
            self.name = found.name
            stems = [file.stem for file in found.files] or [None]
            paths = _installed(self.name, on_download) if download else find_files(self.name)
            self._members: tuple[_Member, ...] = tuple(map(_Member, paths, stems))
            self._config = found.config
            self.family = FAMILIES[found.family]
            self.sources, self.complement = found.sources, found.complement
            self.overlap = found.overlap
        else:
            path, beside = Path(name), None if config is None else Path(config)
            self.name = path.name
            if found is not None:
                found.check_files()
                path, beside, self.name = found.file, found.config, found.name
                self._named = found.stems
            self._config = None if beside is None else _read_config(beside)
            self._open_checkpoint(path, device, precision)

    def _open_checkpoint(self, path: Path, device: Device, precision: Precision) -> None:
        self._members = (_Member(path, None),)
        with ThreadPoolExecutor(1, "read") as pool:  # takes as long as importing a runtime
            reading = pool.submit(read_checkpoint, path, self._config, self._named)
            self._open = open_runtime(device, precision)
        self._read[path] = checkpoint = reading.result()
        with naming(path):
            self.family = FAMILIES[checkpoint.family]
            network = open_network(checkpoint)
            self.sources, self.complement = network.sources, network.complement
            self.overlap = network.overlap
            default_stems(self.sources, self.complement, self._named)  # checks the names

    @property
    def sample_rate(self) -> int:
        """Sample rate of its audio in Hz."""
        return self.family.sample_rate

    def meter(self) -> Meter:
        """Return a meter of a track's loudness."""
        return self.family.meter()

    def load(self, needed: Sequence[str]) -> None:
        """Load the networks of the needed sources."""
        self.parts(needed)

    def parts(self, needed: Sequence[str]) -> list[Part | None]:
        """Load the needed networks; return one part per member, None for those not needed."""
        parts: list[Part | None] = []
        for member in self._members:
            wanted = [stem for stem in needed if member.stem in (None, stem)]
            if wanted:
                loaded = self._load(member, wanted)
                computed = loaded.runtime.network.sources
                sources = tuple(computed.index(stem) for stem in wanted)
                parts.append(Part(loaded.runtime, sources, loaded.batches))
            else:
                parts.append(None)
        return parts

    def warm_up(self, stems: Sequence[str], batch_size: int | None) -> None:
        """Load the networks for the stems and separate a batch of silence with each."""
        for part in self.parts(self.needed(stems)):
            if part is not None:
                runtime = part.runtime
                silence = runtime.arrays.empty(2, runtime.network.segment_frames)
                runtime.arrays.write(silence, lambda out: out.fill(0))
                runtime([silence] * (batch_size or runtime.batch_size), part.sources)

    def check_open(self) -> None:
        """Raise :class:`SeparatorClosed` after :meth:`close`."""
        if self._closed:
            raise SeparatorClosed(f"this separator of {self.name} is closed; create another one")

    def close(self) -> None:
        """Free the networks as soon as no song uses them."""
        with self._loading:
            self._closed = True
            self._loaded.clear()
            self._read.clear()
        free_device_memory()

    def identity(self, needed: Sequence[str]) -> list[str]:
        """Return names of the networks and runtimes that compute the needed stems."""
        members = [m for m in self._members if m.stem is None or m.stem in needed]
        networks = [self._load(member, needed) for member in members]
        return [f"{n.digest} {type(n.runtime).__name__} {n.runtime.precision}" for n in networks]

    def _load(self, member: _Member, wanted: Sequence[str]) -> _Loaded:
        """Return a file's network, which is loaded again if it lacks a wanted source."""
        with self._loading:
            self.check_open()
            loaded = self._loaded.get(member.path)
            computed = loaded.runtime.network.sources if loaded else ()
            if loaded is None or not set(wanted) <= set(computed):
                checkpoint = self._read.pop(member.path, None)
                if checkpoint is None:
                    checkpoint = read_checkpoint(member.path, self._config, self._named)
                with naming(member.path):
                    if (stems := open_network(checkpoint).sources) != self.sources:
                        raise ModelError(f"it makes {', '.join(stems)}, unlike {self.name}")
                    runtime = self._open(checkpoint, {*wanted, *computed})
                loaded = _Loaded(runtime, checkpoint.digest, Batches(runtime))
                self._loaded[member.path] = loaded
            return loaded


def _installed(name: str, on_download: Callable[[int, int], None] | None) -> tuple[Path, ...]:
    from aistemsplitter_engine.weights.download import install  # rarely needed

    return install(name, on_progress=on_download)


def find(name: str | os.PathLike[str]) -> ModelSpec | LocalModel | Combination | None:
    """Return the model of this name, or None for the path of a checkpoint.

    Raises:
        ModelError: There is no such model, or the file with the user's own is damaged.
    """
    if name in MODELS or name in ALIASES:
        return MODELS[resolve_name(str(name))]
    if isinstance(name, os.PathLike) or Path(name).suffix in _SUFFIXES or os.sep in name:
        return None
    from aistemsplitter_engine.weights.registry import find_model  # rarely needed

    return find_model(name)


def _read_config(path: Path) -> dict[str, Any]:
    from aistemsplitter_engine.weights.config_file import read_config  # rarely needed

    return read_config(path)
