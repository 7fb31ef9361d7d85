"""The offsets of the shift trick; that they are Demucs' own is tested with its stems."""

from __future__ import annotations

from fractions import Fraction

from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.shifts import draw_offsets

RATE = 44_100


def test_shifts_are_drawn_per_network_from_the_seed() -> None:
    config = Configuration(("vocals",), segment=Fraction(1), t_layers=5)
    four = draw_offsets(config, 4, 2, 7, 5 * RATE, 0.25)
    assert four == draw_offsets(config, 4, 2, 7, 5 * RATE, 0.25)
    assert four != draw_offsets(config, 4, 2, 8, 5 * RATE, 0.25)
    assert four[:2] == draw_offsets(config, 2, 2, 7, 5 * RATE, 0.25)
    assert len({offset for offsets in four for offset in offsets}) == 8
    assert all(0 <= offset <= 22_050 for offsets in four for offset in offsets)
    assert draw_offsets(config, 4, 2, None, 5 * RATE, 0.25) != four
    assert draw_offsets(config, 4, 0, 7, 5 * RATE, 0.25) == [[0]] * 4
