"""The stems of a model: its own, and those computed from the mixture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.families.base import Meter

VOCALS, INSTRUMENTAL, RESIDUAL = "vocals", "instrumental", "residual"
WITHOUT = "no_"  # prefix of the mixture minus a source, such as no_drums


class StemModel(ABC):
    """The stems of a model or a combination, and all else that a track needs to know of it.

    Attributes:
        name: Its name.
        sources: Stems that its networks compute.
        complement: Name of the mixture minus the only source, or None.
        overlap: Overlap of adjacent segments by default.
    """

    name: str
    sources: tuple[str, ...]
    complement: str | None
    overlap: float

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Sample rate of its audio in Hz."""

    @abstractmethod
    def meter(self) -> Meter:
        """Return a meter of a track's length and level, which the networks need."""

    @abstractmethod
    def load(self, needed: Sequence[str]) -> None:
        """Load the networks of the needed sources."""

    @abstractmethod
    def warm_up(self, stems: Sequence[str], batch_size: int | None) -> None:
        """Load the networks for the stems and separate a batch of silence with each."""

    @abstractmethod
    def check_open(self) -> None:
        """Raise :class:`SeparatorClosed` after :meth:`close`."""

    @abstractmethod
    def close(self) -> None:
        """Free the networks as soon as no song uses them."""

    @property
    def stems(self) -> tuple[str, ...]:
        """All stems that can be requested: the model's own, and those computed from the mixture."""
        return _all_stems(self.sources, self.complement)

    def choose(self, stems: Sequence[str] | None) -> tuple[str, ...]:
        """Return the stems to compute, without duplicates; the model's own for None."""
        return choose_stems(self.name, self.sources, self.complement, stems)

    def subtracted(self, stem: str) -> str | None:
        """Return the source that the mixture lacks in a stem, or None for another kind of stem."""
        if stem in self.sources:
            return None
        if stem == self.complement:
            return self.sources[0]
        if stem == INSTRUMENTAL:
            return VOCALS
        return stem.removeprefix(WITHOUT) if stem.startswith(WITHOUT) else None

    def needed(self, stems: Sequence[str]) -> tuple[str, ...]:
        """Return the model's own stems that ``stems`` are computed from."""
        if RESIDUAL in stems:
            return self.sources
        wanted = {self.subtracted(stem) or stem for stem in stems}
        return tuple(source for source in self.sources if source in wanted)


def choose_stems(
    model: str, sources: tuple[str, ...], complement: str | None, stems: Sequence[str] | None
) -> tuple[str, ...]:
    """Return the stems of a model to compute, without duplicates.

    For None, these are all ``sources``, and the ``complement`` of the only one if there is one.

    Raises:
        OptionError: The model has no such stem.
    """
    if stems is None:
        return sources if complement is None else (*sources, complement)
    if isinstance(stems, str):  # which is a sequence of strings, too
        raise OptionError(f"stems are a list of names: [{stems!r}], not {stems!r}")
    stems = list(stems)  # of an array, whose truth value is an error
    existing = _all_stems(sources, complement)
    for stem in stems:
        if stem not in existing:
            raise OptionError(f"{model} has no stem {stem!r}; it has {', '.join(existing)}")
    if not stems:
        raise OptionError("no stem was requested")
    return tuple(dict.fromkeys(stems))


def _all_stems(sources: tuple[str, ...], complement: str | None) -> tuple[str, ...]:
    made = ([complement] if complement else []) + ([INSTRUMENTAL] if VOCALS in sources else [])
    without = [WITHOUT + source for source in sources]
    return tuple(dict.fromkeys((*sources, *made, RESIDUAL, *without)))
