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
    height: float


def bars(values: Sequence[float], *, height: float = HEIGHT, highest: float = 0) -> Chart:
    """A chart of values that are not below zero.

    Args:
        height: pixels of the highest bar's room.
        highest: what there is to be room for at least: so charts that lie on each other fit.
    """
    highest = max(highest, *values, 0)
    step = _step(highest)
    top = step * max(1, math.ceil(highest / step))
    place = 100 / max(1, len(values))
    every = max(1, round(len(values) / LABELS))
    drawn = []
    for number, value in enumerate(values):
        tall = value / top * height
        if value > 0:
            tall = max(tall, 2.0)  # so that little can be told from nothing
        drawn.append(
            Bar(
                round(place * (number + GAP / 2), 3),
                round(place * (1 - GAP), 3),
                round(height - tall, 2),
                round(tall, 2),
                (len(values) - 1 - number) % every == 0,
            )
        )
    lines = [(round(height - height * at / top, 2), at) for at in range(step, top + 1, step)]
    return Chart(drawn, lines, height)


def _step(highest: float) -> int:
    """A round number of which few reach to the highest value: 1, 2, 5, 10, 20, 50, ..."""
    step, factors = 1, (2, 2.5, 2)
    number = 0
    while step * LINES < highest:
        step = int(step * factors[number % 3])
        number += 1
    return step
