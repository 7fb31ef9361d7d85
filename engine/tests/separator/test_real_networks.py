"""Separation by real networks, compared with Demucs and with true stems."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray, Separator
from aistemsplitter_engine.audio import AudioFile, FloatArray
from fakes import music
from stem_blocks import joined
from stem_files import RATE

if TYPE_CHECKING:
    from networks import Bag


@pytest.mark.network
def test_a_seeded_run_with_skipped_models_equals_demucs(bag: Bag) -> None:
    import reference  # imported here: it needs PyTorch, which the other tests do not

    audio = music(2.5)
    separator = Separator("htdemucs_ft", device="cpu", precision="float32", shifts=2, seed=4)
    got = joined(separator.separate(AudioArray(audio, RATE), stems=["other", "instrumental"]))
    expected = reference.demucs_separate(bag.models, audio, shifts=2, seed=4)
    assert np.abs(got["other"] - expected[2]).max() < 1e-5
    assert np.abs(got["instrumental"] - (audio - expected[3])).max() < 1e-5


@pytest.mark.network
@pytest.mark.parametrize(("seconds", "overlap", "batch"), [(0.01, 0.25, 1), (2.2, 0.5, 3)])
def test_a_real_network_as_a_stream_equals_the_whole_track(
    bag: Bag, seconds: float, overlap: float, batch: int
) -> None:
    import reference

    audio = music(seconds)
    separator = Separator(
        bag.paths[0], device="cpu", overlap=overlap, batch_size=batch, precision="float32"
    )
    got = np.stack(list(joined(separator.separate(AudioArray(audio, RATE))).values()))
    expected = reference.demucs_separate([bag.models[0]], audio, overlap=overlap)
    assert np.abs(got - expected).max() < 1e-5


def test_the_shipped_model_separates(tiny: Separator, songs: Path) -> None:
    """Each stem has less than half the squared error that the mixture has."""
    folder = songs / "heldout1"
    seconds = 6 * RATE

    def excerpt(name: str) -> FloatArray:
        whole = np.concatenate(list(AudioFile(folder / f"{name}.flac").blocks()), axis=1)
        return whole[:, :seconds]

    mixture = excerpt("mixture")
    stems = joined(tiny.separate(AudioArray(mixture, RATE)))
    for name, stem in stems.items():
        truth = excerpt(name)
        assert np.square(truth - stem).sum() < 0.5 * np.square(truth - mixture).sum()


WITHOUT_TORCH = """
import sys
if sys.argv[1] == "missing":
    sys.modules["torch"] = None  # importing it raises ImportError
import numpy as np
from aistemsplitter_engine import AudioArray, Separator
device = "auto" if sys.argv[1] == "missing" else "cpu"
separator = Separator("htdemucs_tiny", device=device)
blocks = separator.separate(AudioArray(np.zeros((2, 1000), np.float32), 44100))
print(sum(block.stems["vocals"].shape[1] for block in blocks))
print(sorted(name for name, module in sys.modules.items() if name.startswith("torch") and module))
"""


@pytest.mark.parametrize("torch", ["missing", "installed"])
def test_the_cpu_needs_no_torch(torch: str) -> None:
    command = [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, torch]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("1000\n[]\n", "")
