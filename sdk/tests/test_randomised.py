"""A short run of ``bench/chaos.py``, which does a thousand."""

from __future__ import annotations

from pathlib import Path

import randomised


def test_every_split_ends_right_or_with_one_typed_error(tmp_path: Path) -> None:
    outcome = randomised.run(tmp_path, splits=40, seed=4)
    assert outcome.wrong == []
    assert outcome.twice == []
    assert outcome.leaked == []
    assert outcome.temporary == []
    assert outcome.right + outcome.errors.total() == 40
    assert outcome.right > 20
    assert outcome.faults.total() > 40
