"""The geometry of bar charts: widths in percent, to fit any page, and heights in pixels.

Chart libraries were considered: pygal renders whole SVG documents with inline styles and scripts,
which the pages' Content-Security-Policy refuses, and cannot draw bars as HTML that reflows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 160.0  # pixels of the highest bar's room
GAP = 0.25  # of a bar's width
LINES = 4  # at most, above the ground
LABELS = 6  # about so many days have labels


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar."""

    x: float  # percent
    width: float  # percent
    y: float  # pixels from the top
    height: float  # pixels
    label: bool  # whether its day has a label


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its bars, and grid lines with height and value."""

    bars: list[Bar]
    lines: list[tuple[float, int]]
    height: float


def bars(values: Sequence[float], *, height: float = HEIGHT, highest: float = 0) -> Chart:
    """Return the chart of values that are not negative.

    Args:
        height: Pixels of the highest bar's room.
        highest: A value that must fit at least, so that charts drawn over each other have one
            scale.
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
            tall = max(tall, 2.0)  # so that small values are visible
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
    """Return a round step (1, 2, 5, 10, 20, 50, ...) that few lines need for the highest value."""
    step, factors = 1, (2, 2.5, 2)
    number = 0
    while step * LINES < highest:
        step = int(step * factors[number % 3])
        number += 1
    return step
