"""Combinations of models: their stems, and the separation of a track step by step."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import tee
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.base import Loudness, Meter
from aistemsplitter_engine.pipeline.ensemble import Averaged, averaged
from aistemsplitter_engine.pipeline.model import Model
from aistemsplitter_engine.pipeline.read_ahead import read_ahead
from aistemsplitter_engine.pipeline.scratch import ScratchFile
from aistemsplitter_engine.pipeline.separate import Estimates
from aistemsplitter_engine.pipeline.separation import Separation
from aistemsplitter_engine.pipeline.stem_names import StemModel
from aistemsplitter_engine.weights.combinations import Combination, Step

if TYPE_CHECKING:
    from aistemsplitter_engine.pipeline.track import Track

_READ = 1 << 16  # samples that a later step reads at once


@dataclass(frozen=True, slots=True)
class _Levels:
    """A track's length, and its level for each model of a step."""

    frames: int
    of: tuple[Loudness, ...]


class _Meters:
    """The meters of several models."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._meters: list[Meter] = [model.meter() for model in models]

    def add(self, block: FloatArray) -> None:
        for meter in self._meters:
            meter.add(block)

    def loudness(self) -> _Levels:
        of: list[Any] = [meter.loudness() for meter in self._meters]
        return _Levels(of[0].frames, tuple(of))


class CombinedModel(StemModel):
    """A combination whose models are opened by ``open_model``.

    Raises:
        ModelError: A model lacks a stem, or does not exist.
    """

    def __init__(self, combination: Combination, open_model: Callable[[str], Model]) -> None:
        self.name, self.steps = combination.name, combination.steps
        self.models = {name: open_model(name) for name in combination.models}
        for step in self.steps:
            for name in step.weights:
                sources = self.models[name].sources
                for stem in step.stems:
                    if stem not in sources:
                        raise ModelError(
                            f"{self.name} takes {stem} from {name}, whose networks only make "
                            f"{', '.join(sources)}; change its stems in models.yaml"
                        )
        self.sources, self.complement = combination.stems, None
        self.overlap = self.models[combination.models[0]].overlap

    @property
    def sample_rate(self) -> int:
        """Sample rate of its audio in Hz, which is the same for all families."""
        return next(iter(self.models.values())).sample_rate

    def meter(self) -> Meter:
        """Return a meter for the models of the first step."""
        return self.meter_of(self.steps[0])

    def meter_of(self, step: Step) -> Meter:
        """Return a meter for the models of a step."""
        return _Meters(self.models[name] for name in step.weights)

    def load(self, needed: Sequence[str]) -> None:
        """Load the networks of the steps that make the needed sources."""
        for step in self.steps_for(needed):
            for name in step.weights:
                self.models[name].load(self.models[name].needed(step.stems))

    def steps_for(self, needed: Sequence[str]) -> tuple[Step, ...]:
        """Return the steps that make the needed sources.

        All stems of the steps before the last are needed, for the mixture of those after them.
        """
        last = max(n for n, step in enumerate(self.steps) if set(step.stems) & set(needed))
        wanted = tuple(stem for stem in self.steps[last].stems if stem in needed)
        return (*self.steps[:last], Step(self.steps[last].weights, wanted))

    def warm_up(self, stems: Sequence[str], batch_size: int | None) -> None:
        """Load the networks for the stems and separate a batch of silence with each."""
        for step in self.steps_for(self.needed(stems)):
            for name in step.weights:
                self.models[name].warm_up(step.stems, batch_size)

    def check_open(self) -> None:
        """Raise :class:`SeparatorClosed` after :meth:`close`."""
        for model in self.models.values():
            model.check_open()

    def close(self) -> None:
        """Free the networks as soon as no song uses them."""
        for model in self.models.values():
            model.close()


@dataclass(frozen=True, slots=True)
class CombinedSeparation:
    """The separation of tracks by a combination, always with the same options.

    Attributes:
        version: The engine's version.
        overlap: Overlap of adjacent segments, or None for that of each model.
        batch_size: Segments computed at once, or None for each runtime's default.
    """

    version: str
    model: CombinedModel
    overlap: float | None
    batch_size: int | None

    @property
    def seed(self) -> None:
        """Always None: without shifts, no offsets are drawn."""
        return None

    def identity(self, track: Track) -> dict[str, object]:
        """Return all that determines a track's stems; only a run with the same is resumed."""
        steps = [
            [
                [
                    name,
                    weight,
                    step.stems,
                    self._separation(name).overlap,
                    self.model.models[name].identity(step.stems),
                ]
                for name, weight in step.weights.items()
            ]
            for step in self.model.steps_for(track.needed)
        ]
        return {
            "engine": self.version,
            "song": track.identity,
            "stems": track.stems,
            "steps": steps,
        }

    def stems(
        self,
        track: Track,
        seed: int | None,  # noqa: ARG002  # of TrackSeparation; there are no shifts to draw
        begin: int = 0,
    ) -> Generator[FloatArray]:
        """Yield blocks (stems, 2, n) at the model's rate, from sample ``begin`` on.

        The stems of a step that another one follows are stored in a temporary file, with what they
        leave of the mixture. A resumed run computes them again, all of them.
        """
        steps = self.model.steps_for(track.needed)
        self.model.load(track.needed)  # while the song is read
        levels = cast("_Levels", track.loudness)
        names = [stem for step in steps for stem in step.stems]
        rows = [names.index(stem) for stem in track.needed]
        before: list[ScratchFile] = []
        with ExitStack() as stack:
            audio = stack.enter_context(closing(read_ahead(track.audio())))
            mixture: Iterator[FloatArray] = track.reported(audio)
            for number, step in enumerate(steps):
                is_last = number == len(steps) - 1
                share = (number / len(steps), (number + 1) / len(steps))
                estimates = self._step(track, step, mixture, levels, begin if is_last else 0, share)
                blocks = stack.enter_context(closing(estimates))
                if is_last:
                    for block in blocks:
                        yield track.stems_of(_estimates(block, before, rows))
                else:
                    scratch = stack.enter_context(ScratchFile(len(step.stems) + 1))
                    meter = self.model.meter_of(steps[number + 1])
                    _store(blocks, scratch, meter)
                    before.append(scratch)
                    levels, mixture = meter.loudness(), track.reported(_rests(scratch))
                for _ in track.reported(audio):  # its end shows whether the song has changed
                    pass

    def _step(
        self,
        track: Track,
        step: Step,
        mixture: Iterator[FloatArray],
        levels: _Levels,
        begin: int,
        share: tuple[float, float],
    ) -> Generator[Averaged]:
        """Yield a step's stems from sample ``begin`` on; report progress within ``share``."""
        fractions = [0.0] * len(step.weights)

        def report(member: int, fraction: float) -> None:
            fractions[member] = fraction
            track.report(share[0] + (share[1] - share[0]) * sum(fractions) / len(fractions))

        members: list[tuple[Generator[Estimates], list[int]]] = []
        copies = tee(mixture, len(step.weights)) if len(step.weights) > 1 else (mixture,)
        for member, (name, copy, loudness) in enumerate(
            zip(step.weights, copies, levels.of, strict=True)
        ):
            needed = self.model.models[name].needed(step.stems)
            estimates = self._separation(name).estimates(
                needed,
                copy,
                loudness,
                None,
                begin=begin,
                on_progress=partial(report, member),
            )
            members.append((estimates, [needed.index(stem) for stem in step.stems]))
        return averaged(members, [*step.weights.values()], begin)

    def _separation(self, name: str) -> Separation:
        model = self.model.models[name]
        overlap = model.overlap if self.overlap is None else self.overlap
        return Separation(self.version, model, 0, None, overlap, self.batch_size)


def _store(blocks: Iterable[Averaged], scratch: ScratchFile, meter: Meter) -> None:
    """Store a step's stems and what they leave of the mixture, and measure the latter."""
    for block in blocks:
        rest = block.mixture - block.stems.sum(0)
        scratch.append(np.concatenate([block.stems, rest[None]]))
        meter.add(rest)


def _rests(scratch: ScratchFile) -> Iterator[FloatArray]:
    """Yield what the stems of a step have left of the mixture."""
    for start in range(0, scratch.frames, _READ):
        yield scratch.read(start, min(start + _READ, scratch.frames))[-1]


def _estimates(block: Averaged, before: Sequence[ScratchFile], rows: Sequence[int]) -> Estimates:
    """Return the stems ``rows`` of all steps, for a block of the last one."""
    earlier = [scratch.read(block.start, block.stop)[:-1] for scratch in before]
    mixture = block.mixture + sum(stems.sum(0) for stems in earlier)
    stems = np.concatenate([*earlier, block.stems])[rows]
    return Estimates(block.start, stems, lambda _start, _stop: mixture)
