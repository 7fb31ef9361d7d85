"""Bars for the pages: where each lies in an SVG that is stretched to its place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEP, WIDTH, HEIGHT = 10.0, 7.0, 100.0  # of the view box: a bar's place, a bar, all


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar, a rectangle."""

    kind: str  # a class of the stylesheet
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of parts that stand on each other."""

    x: float
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars beside each other, and the round number that the highest of them could reach."""

    width: float
    top: float
    bars: Sequence[Bar]


def bars(*series: tuple[str, Sequence[float]]) -> Chart:
    """A chart of one or several series of numbers, those of later ones standing on the earlier.

    Args:
        series: class and numbers, from 0 up, as many in each.
    """
    columns = list(zip(*(numbers for _, numbers in series), strict=True))
    top = rounded_up(max(map(sum, columns), default=0))
    kinds = [kind for kind, _ in series]
    return Chart(
        width=STEP * len(columns),
        top=top,
        bars=[
            Bar(number * STEP + (STEP - WIDTH) / 2, _stacked(kinds, column, top))
            for number, column in enumerate(columns)
        ],
    )


def rounded_up(number: float) -> float:
    """The next number of one digit and zeros; at least 1."""
    if number <= 1:
        return 1
    power: float = 10 ** math.floor(math.log10(number))
    return next(step * power for step in range(1, 11) if number <= step * power)


def _stacked(kinds: Sequence[str], column: Sequence[float], top: float) -> Sequence[Part]:
    parts, y = [], HEIGHT
    for kind, number in zip(kinds, column, strict=True):
        if number:
            height = number / top * HEIGHT
            y -= height
            parts.append(Part(kind, round(y, 2), round(height, 2)))
    return parts
