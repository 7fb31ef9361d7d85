"""A model by name or path: its stems and its networks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aistemsplitter_engine.errors import ModelError, OptionError, SeparatorClosed
from aistemsplitter_engine.families import FAMILIES, open_network
from aistemsplitter_engine.options import Device, Precision
from aistemsplitter_engine.pipeline.separate import Part
from aistemsplitter_engine.runtimes import Runtime, free_device_memory, open_runtime
from aistemsplitter_engine.weights.catalogue import ALIASES, MODELS, resolve_name
from aistemsplitter_engine.weights.checkpoint import Checkpoint, load_checkpoint
from aistemsplitter_engine.weights.store import find_files

INSTRUMENTAL, RESIDUAL = "instrumental", "residual"


@dataclass(frozen=True, slots=True)
class _Member:
    """One file of a model, and the only stem that it is used for, or None for all."""

    path: Path
    stem: str | None


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A file's network and digest."""

    runtime: Runtime
    digest: str


class Model:
    """A model, whose networks are loaded when a stem first needs them, and then kept.

    ``name`` is a name or alias from the catalogue, or the path of an HTDemucs checkpoint. With
    ``download``, missing files are installed; ``on_download`` is called with the bytes done and the
    bytes in total. Threads may share a model.
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        device: Device,
        precision: Precision,
        *,
        download: bool = False,
        on_download: Callable[[int, int], None] | None = None,
    ) -> None:
        self._closed = False
        self._loading = threading.Lock()
        self._loaded: dict[Path, _Loaded] = {}
        self._read: dict[Path, Checkpoint] = {}  # read, but not loaded yet
        if _is_path(name):
            path = Path(name)
            self.name = path.name
            self._members: tuple[_Member, ...] = (_Member(path, None),)
            with ThreadPoolExecutor(1, "read") as pool:  # takes as long as importing a runtime
                reading = pool.submit(load_checkpoint, path, lazy=True)
                self._open = open_runtime(device, precision)
            self._read[path] = checkpoint = reading.result()
            with _naming(path):
                self.family = FAMILIES[checkpoint.family]
                self.sources = open_network(checkpoint).sources
        else:
            self._open = open_runtime(device, precision)
            self.name = resolve_name(str(name))
            spec = MODELS[self.name]
            stems = [file.stem for file in spec.files] or [None]
            paths = _installed(self.name, on_download) if download else find_files(self.name)
            self._members = tuple(map(_Member, paths, stems))
            self.family = FAMILIES[spec.family]
            self.sources = spec.sources

    @property
    def stems(self) -> tuple[str, ...]:
        """All stems that can be requested: the model's own, and those computed from the mixture."""
        return _all_stems(self.sources)

    def choose(self, stems: Sequence[str] | None) -> tuple[str, ...]:
        """Return the stems to compute, without duplicates; the model's own for None."""
        return choose_stems(self.name, self.sources, stems)

    def needed(self, stems: Sequence[str]) -> tuple[str, ...]:
        """Return the model's own stems that ``stems`` are computed from."""
        if RESIDUAL in stems:
            return self.sources
        wanted = {"vocals" if stem == INSTRUMENTAL else stem for stem in stems}
        return tuple(source for source in self.sources if source in wanted)

    def parts(self, needed: Sequence[str]) -> list[Part | None]:
        """Load the needed networks; return one part per member, None for those not needed."""
        parts: list[Part | None] = []
        for member in self._members:
            wanted = [stem for stem in needed if member.stem in (None, stem)]
            sources = tuple(self.sources.index(stem) for stem in wanted)
            parts.append(Part(self._load(member).runtime, sources) if wanted else None)
        return parts

    def warm_up(self, stems: Sequence[str], batch_size: int | None) -> None:
        """Load the networks for the stems and separate a batch of silence with each."""
        for part in self.parts(self.needed(stems)):
            if part is not None:
                runtime = part.runtime
                batch = batch_size or runtime.batch_size
                shape = (batch, 2, runtime.network.segment_frames)
                runtime(runtime.arrays.upload(shape, lambda out: out.fill(0)), part.sources)

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
        networks = [self._load(member) for member in members]
        return [f"{n.digest} {type(n.runtime).__name__} {n.runtime.precision}" for n in networks]

    def _load(self, member: _Member) -> _Loaded:
        with self._loading:
            self.check_open()
            if member.path not in self._loaded:
                checkpoint = self._read.pop(member.path, None)
                if checkpoint is None:
                    checkpoint = load_checkpoint(member.path, lazy=True)
                with _naming(member.path):
                    runtime = self._open(checkpoint)
                    if (stems := runtime.network.sources) != self.sources:
                        raise ModelError(f"it makes {', '.join(stems)}, unlike {self.name}")
                self._loaded[member.path] = _Loaded(runtime, checkpoint.digest)
            return self._loaded[member.path]


def _installed(name: str, on_download: Callable[[int, int], None] | None) -> tuple[Path, ...]:
    from aistemsplitter_engine.weights.download import install  # rarely needed

    return install(name, on_progress=on_download)


def choose_stems(
    model: str, sources: tuple[str, ...], stems: Sequence[str] | None
) -> tuple[str, ...]:
    """Return the stems of a model to compute, without duplicates; all ``sources`` for None.

    Raises:
        OptionError: The model has no such stem.
    """
    if stems is None:
        return sources
    if isinstance(stems, str):  # which is a sequence of strings, too
        raise OptionError(f"stems are a list of names: [{stems!r}], not {stems!r}")
    stems = list(stems)  # of an array, whose truth value is an error
    existing = _all_stems(sources)
    for stem in stems:
        if stem not in existing:
            raise OptionError(f"{model} has no stem {stem!r}; it has {', '.join(existing)}")
    if not stems:
        raise OptionError("no stem was requested")
    return tuple(dict.fromkeys(stems))


def _all_stems(sources: tuple[str, ...]) -> tuple[str, ...]:
    made = (INSTRUMENTAL, RESIDUAL) if "vocals" in sources else (RESIDUAL,)
    return (*sources, *made)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path} cannot be used as a model: {error}") from error


def _is_path(name: str | os.PathLike[str]) -> bool:
    if isinstance(name, os.PathLike):
        return True
    if name in MODELS or name in ALIASES:
        return False
    return Path(name).suffix in (".th", ".safetensors") or os.sep in name
