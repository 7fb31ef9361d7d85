"""The choice of stems, the networks that it needs, and the seed of the shifts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from aistemsplitter_engine import Separator
from aistemsplitter_engine.audio import FloatArray
from fakes import FakeRuntime
from stem_blocks import joined
from stem_files import song

if TYPE_CHECKING:
    from networks import Bag


@pytest.mark.usefixtures("fakes")
def test_stems_computed_from_the_mixture() -> None:
    separator, source = Separator("htdemucs_tiny", shifts=2, seed=3), song(6)
    stems = joined(separator.separate(source, stems=separator.stems))
    own = sum(stems[stem] for stem in separator.stems[:4])
    assert np.array_equal(stems["instrumental"], source._array - stems["vocals"])
    for stem in separator.stems[:4]:
        assert np.array_equal(stems[f"no_{stem}"], source._array - stems[stem])
    assert stems["residual"] + own == pytest.approx(source._array, abs=1e-6)
    assert np.abs(stems["residual"]).max() > 0.01


@pytest.mark.parametrize(
    "chosen",
    [
        ["vocals"],
        ["instrumental"],
        ["residual"],
        ["other", "drums"],
        ["residual", "bass"],
        ["no_drums"],
    ],
)
@pytest.mark.parametrize("model", ["htdemucs_tiny", "htdemucs_ft"])
@pytest.mark.usefixtures("bag", "fakes")
def test_choosing_stems_changes_no_sample(model: str, chosen: list[str]) -> None:
    separator, source = Separator(model, shifts=2, seed=11), song(4)
    every = joined(separator.separate(source, stems=separator.stems))
    some = joined(separator.separate(source, stems=chosen))
    assert list(some) == chosen
    assert all(np.array_equal(some[stem], every[stem]) for stem in chosen)


@pytest.mark.parametrize(
    ("chosen", "networks"), [(["vocals"], 1), (["instrumental"], 1), (["bass", "drums"], 2)]
)
@pytest.mark.usefixtures("bag")
def test_only_required_networks_run(
    fakes: list[FakeRuntime], chosen: list[str], networks: int
) -> None:
    joined(Separator("htdemucs_ft").separate(song(4), stems=chosen))
    segments = {fake.calls for fake in fakes}
    assert len(fakes) == networks
    assert segments == {6}  # 4 s in steps of 0.75 s


def test_a_bag_is_model_k_for_stem_k(bag: Bag, fakes: list[FakeRuntime]) -> None:
    source = song(4)
    together = joined(Separator("htdemucs_ft").separate(source))
    assert list(together) == ["drums", "bass", "other", "vocals"]
    for stem, path in zip(together, bag.paths, strict=True):
        alone = joined(Separator(path).separate(source))
        same = [name for name in alone if np.array_equal(alone[name], together[stem])]
        assert same == [stem]
    assert len({fake.gain for fake in fakes}) == 4


@pytest.mark.usefixtures("fakes")
def test_the_seed_decides_the_shifts() -> None:
    source = song(4)

    def vocals(**options: int) -> FloatArray:
        return joined(Separator("htdemucs_tiny", **options).separate(source))["vocals"]

    seeded = vocals(shifts=2, seed=5)
    state = random.getstate()
    assert np.array_equal(vocals(shifts=2, seed=5), seeded)
    assert random.getstate() == state  # other users of the module are not affected
    assert not np.array_equal(vocals(shifts=2, seed=6), seeded)
    assert not np.array_equal(vocals(shifts=2), vocals(shifts=2))
    assert np.array_equal(vocals(seed=5), vocals())  # without shifts, there is nothing to draw
