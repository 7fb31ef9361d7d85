"""The geometry of a bar chart: widths in percent, so that it fits any page; heights in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 160.0  # pixels of the highest bar's room
GAP = 0.25  # of a bar's place
LINES = 4  # at most, above the ground
LABELS = 6  # about so many of the days are written out


@dataclass(frozen=True, slots=True)
class Bar:
    """One value."""

    x: float  # percent
    width: float  # percent
    y: float  # pixels from the top
    height: float  # pixels
    label: bool  # whether its day is written below


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, and the lines behind them: how high, and what they say."""

    bars: list[Bar]
    lines: list[tuple[float, int]]
    height: float = HEIGHT


def bars(values: Sequence[float]) -> Chart:
    """A chart of values that are not below zero."""
    step = _step(max(values, default=0))
    top = step * max(1, math.ceil(max(values, default=0) / step))
    place = 100 / max(1, len(values))
    every = max(1, round(len(values) / LABELS))
    drawn = []
    for number, value in enumerate(values):
        height = value / top * HEIGHT
        if value > 0:
            height = max(height, 2.0)  # so that little can be told from nothing
        drawn.append(
            Bar(
                round(place * (number + GAP / 2), 3),
                round(place * (1 - GAP), 3),
                round(HEIGHT - height, 2),
                round(height, 2),
                (len(values) - 1 - number) % every == 0,
            )
        )
    lines = [(round(HEIGHT - HEIGHT * at / top, 2), at) for at in range(step, top + 1, step)]
    return Chart(drawn, lines)


def _step(highest: float) -> int:
    """A round number of which few reach to the highest value: 1, 2, 5, 10, 20, 50, ..."""
    step, factors = 1, (2, 2.5, 2)
    number = 0
    while step * LINES < highest:
        step = int(step * factors[number % 3])
        number += 1
    return step
