"""Loading a separator's networks beforehand, and freeing them."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray, Separator
from aistemsplitter_engine.errors import OptionError, SeparatorClosed
from fakes import FakeRuntime, music
from stem_blocks import joined
from stem_files import RATE, song


@pytest.mark.usefixtures("bag")
def test_warming_up(fakes: list[FakeRuntime]) -> None:
    """Only the networks for the stems are loaded, and each separates one batch."""
    separator = Separator("htdemucs_ft", batch_size=3)
    separator.warm_up(["vocals"])
    assert [fake.calls for fake in fakes] == [3]
    separator.warm_up()
    assert sorted(fake.calls for fake in fakes) == [3, 3, 3, 6]
    joined(separator.separate(song(1)))
    assert len(fakes) == 4
    with pytest.raises(OptionError, match="has no stem 'voice'"):
        separator.warm_up(["voice"])


def test_closing(fakes: list[FakeRuntime], tmp_path: Path) -> None:
    with Separator("htdemucs_tiny") as separator:
        joined(separator.separate(song(1)))
    separator.close()  # again
    network = weakref.ref(fakes.pop())
    gc.collect()
    assert network() is None
    for call in (
        lambda: separator.separate(song(1)),
        lambda: separator.split(song(1), tmp_path / "out"),
        lambda: separator.separate_array(music(1), RATE),
        separator.warm_up,
    ):
        with pytest.raises(SeparatorClosed) as caught:
            call()
        assert str(caught.value) == (
            "this separator of htdemucs_tiny is closed; create another one"
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fakes")
def test_a_song_in_progress_is_completed() -> None:
    separator = Separator("htdemucs_tiny")
    expected = joined(separator.separate(song(10)))
    blocks = separator.separate(song(10))
    begun = [next(blocks)]
    separator.close()
    whole = joined([*begun, *blocks])
    assert all(np.array_equal(whole[stem], expected[stem]) for stem in expected)


@pytest.mark.network
def test_a_real_network_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with Separator("htdemucs_tiny", device="cpu", precision="float32") as separator:
        separator.warm_up()
        joined(separator.separate(AudioArray(music(1), RATE)))
        assert set(threading.enumerate()) > before
    deadline = time.monotonic() + 60
    while left := set(threading.enumerate()) - before:  # they end soon
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
