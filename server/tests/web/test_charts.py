from __future__ import annotations

import pytest

from aistemsplitter_server.web import charts
from aistemsplitter_server.web.charts import Part


def test_bars_stand_on_each_other() -> None:
    chart = charts.bars(("good", [0, 3, 5]), ("danger", [0, 1, 0]))
    assert (chart.top, chart.width) == (5, 30)
    assert [bar.x for bar in chart.bars] == [1.5, 11.5, 21.5]
    assert [list(bar.parts) for bar in chart.bars] == [
        [],
        [Part("good", y=40, height=60), Part("danger", y=20, height=20)],
        [Part("good", y=0, height=100)],
    ]


@pytest.mark.parametrize(
    ("number", "top"),
    [(0, 1), (0.3, 1), (1, 1), (1.5, 2), (2.1, 3), (9.5, 10), (10, 10), (10.5, 20), (4321, 5000)],
)
def test_rounded_up(number: float, top: float) -> None:
    assert charts.rounded_up(number) == top


def test_nothing_to_show() -> None:
    assert charts.bars(("good", [])) == charts.Chart(width=0, top=1, bars=[])
