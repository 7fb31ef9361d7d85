"""Combinations of models, with fake networks that multiply: their stems show who made them."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import tracemalloc
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import save_model

from aistemsplitter_engine import (
    AudioArray,
    Cancelled,
    ModelError,
    ModelNotInstalled,
    OptionError,
    OutputError,
    Separator,
    add_ensemble,
    add_model,
    list_models,
    remove_model,
)
from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.families.base import Network
from aistemsplitter_engine.families.roformer.family import RoFormer
from aistemsplitter_engine.weights.registry import find_model, registry_path
from fakes import FakeRuntime, music, use_fake
from levels import measure
from networks import Bag
from roformers import BS, KIM, config, network, save
from stem_files import read

RATE = 44_100
VOICE = 0.25  # of the window is what the RoFormer makes of it
FACTORS = {"drums": 0.5, "bass": 0.3, "other": 0.2, "vocals": 0.7}  # the same of the HTDemucs
OFFSETS = {"drums": 0.1, "bass": -0.1, "other": 0.0, "vocals": 0.0}  # which it adds to the window
STEPS = {
    "steps": [
        {"model": "voice", "stems": ["vocals"]},
        {"model": "htdemucs_tiny", "stems": ["drums", "bass", "other"]},
    ]
}


class Multiplying(FakeRuntime):
    """A fake whose estimates are multiples of the window."""

    def _estimate(self, segments: FloatArray, source: int) -> FloatArray:
        if isinstance(self.network, RoFormer):
            return np.float32(VOICE) * segments
        name = self.network.sources[source]
        return np.float32(FACTORS[name]) * segments + np.float32(OFFSETS[name])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Network]:
    """Use multiplying fakes; return the networks that were loaded."""
    networks: list[Network] = []

    def make(network: Network) -> Multiplying:
        networks.append(network)
        return Multiplying(network)

    use_fake(monkeypatch, make)
    return networks


@pytest.fixture
def voice(tmp_path: Path, empty_machine: None, opened: list[Network]) -> None:  # noqa: ARG001
    """Register a RoFormer as ``voice``, and as ``mix`` its vocals and the tiny model's rest."""
    save(network(BS), tmp_path / "voice.ckpt")
    content = config(BS, chunk=64 * 400, stems=["vocals", "other"], target="vocals")
    (tmp_path / "voice.yaml").write_text(yaml.safe_dump(content))
    add_model("voice", tmp_path / "voice.ckpt", config=tmp_path / "voice.yaml")
    write(mix=STEPS)


def write(**entries: object) -> None:
    """Append entries to the user's file."""
    with registry_path().open("a") as file:
        file.write(yaml.safe_dump(entries, sort_keys=False))


def demucs(mixture: FloatArray, stem: str) -> FloatArray:
    """Return what the multiplying HTDemucs makes of a mixture: it depends on its mean and std."""
    level = measure([mixture])
    normal = (mixture - level.mean) / level.std
    made = (FACTORS[stem] * normal + OFFSETS[stem]) * level.std + level.mean
    return made.astype(np.float32)


def assert_same(got: FloatArray, expected: FloatArray) -> None:
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-5


@pytest.mark.usefixtures("voice")
def test_each_step_separates_what_those_before_it_leave() -> None:
    song = music(9) + np.float32(0.05)
    with Separator("mix") as separator:
        assert separator.stems[:6] == (
            *("vocals", "drums", "bass", "other", "instrumental", "residual"),
        )
        got = separator.separate_array(song, RATE, stems=separator.stems).stems
    vocals = VOICE * song
    rest = song - vocals
    assert_same(got["vocals"], vocals)
    for stem in ("drums", "bass", "other"):
        assert_same(got[stem], demucs(rest, stem))
    assert_same(got["instrumental"], song - vocals)
    made = sum(got[stem] for stem in ("vocals", "drums", "bass", "other"))
    assert_same(got["residual"], song - made)


@pytest.mark.usefixtures("voice")
def test_the_stems_sum_to_the_mixture() -> None:
    song = music(9)
    song -= song.mean()
    with Separator("mix") as separator:
        stems = separator.separate_array(song, RATE).stems
    assert list(stems) == ["vocals", "drums", "bass", "other"]
    assert_same(sum(stems.values(), start=np.zeros_like(song)), song)


@pytest.mark.usefixtures("voice")
def test_only_the_models_that_are_needed_run(opened: list[Network]) -> None:
    song = music(2)
    with Separator("mix") as separator:
        for stem in ("vocals", "instrumental"):
            got = separator.separate_array(song, RATE, stems=[stem]).stems
            assert list(got) == [stem]
        assert [type(one) for one in opened] == [RoFormer]
        got = separator.separate_array(song, RATE, stems=["bass"]).stems
        assert len(opened) == 2
    assert_same(got["bass"], demucs(song - VOICE * song, "bass"))


@pytest.mark.usefixtures("voice")
def test_an_ensemble_is_the_weighted_average() -> None:
    added = add_ensemble("duo", {"voice": 3, "htdemucs_tiny": 1}, ["vocals"])
    assert (added.stems, added.installed) == (("vocals",), True)
    assert added.licence == "those of voice and htdemucs_tiny"
    assert list_models()[-1] == added
    song = music(20) + np.float32(0.05)
    with Separator("duo") as separator:
        got = separator.separate_array(song, RATE, stems=["vocals", "instrumental"]).stems
    expected = 0.75 * VOICE * song + 0.25 * demucs(song, "vocals")
    assert_same(got["vocals"], expected)
    assert_same(got["instrumental"], song - expected)


@pytest.mark.usefixtures("voice")
def test_an_ensemble_in_a_step_and_three_steps() -> None:
    write(
        three={
            "steps": [
                {"ensemble": {"htdemucs_tiny": 1, "voice": 1}, "stems": ["vocals"]},
                {"model": "htdemucs_tiny", "stems": ["bass"]},
                {"model": "htdemucs_tiny", "stems": ["other", "drums"]},
            ]
        }
    )
    song = music(3)
    with Separator("three") as separator:
        got = separator.separate_array(song, RATE).stems
    assert list(got) == ["vocals", "bass", "other", "drums"]
    vocals = 0.5 * demucs(song, "vocals") + 0.5 * VOICE * song
    bass = demucs(song - vocals, "bass")
    assert_same(got["vocals"], vocals)
    assert_same(got["bass"], bass)
    assert_same(got["drums"], demucs(song - vocals - bass, "drums"))
    assert_same(got["other"], demucs(song - vocals - bass, "other"))


@pytest.mark.usefixtures("voice")
def test_files_of_a_run_that_was_resumed(tmp_path: Path) -> None:
    song = AudioArray(music(20), RATE, "a song")
    cancel, fractions = threading.Event(), []

    def listen(fraction: float) -> None:
        fractions.append(fraction)
        if fraction >= 0.7:
            cancel.set()

    with Separator("mix") as separator:
        whole = separator.split(song, tmp_path / "whole", bit_depth=32)
        runtime = separator._model.models["htdemucs_tiny"].parts(["bass"])[0].runtime
        calls = [runtime.calls]
        with pytest.raises(Cancelled):
            separator.split(song, tmp_path / "out", bit_depth=32, on_progress=listen, cancel=cancel)
        assert fractions == sorted(fractions)
        calls.append(runtime.calls)
        resumed = separator.split(song, tmp_path / "out", bit_depth=32, resume=True)
        calls.append(runtime.calls)
    assert calls[2] - calls[1] < calls[0]  # the last step does not start again
    for stem, path in whole.stems.items():
        assert np.array_equal(read(path), read(resumed.stems[stem]))


@pytest.mark.usefixtures("voice")
def test_memory_does_not_grow_with_the_song() -> None:
    add_ensemble("duo", {"voice": 1, "htdemucs_tiny": 1}, ["vocals"])
    for name in ("mix", "duo"):
        peaks = []
        for seconds in (30, 90):
            song = AudioArray(music(seconds), RATE, "a song")
            with Separator(name) as separator:
                tracemalloc.start()
                try:
                    for block in separator.separate(song):
                        assert block.frames == seconds * RATE
                    peaks.append(tracemalloc.get_traced_memory()[1])
                finally:
                    tracemalloc.stop()
        assert peaks[1] < 1.5 * peaks[0], name


@pytest.mark.usefixtures("voice")
def test_a_full_disk_between_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullFile(BytesIO):
        def write(self, *_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", FullFile)
    with (
        Separator("mix") as separator,
        pytest.raises(OutputError, match=r"cannot be stored there: No space left .*TMPDIR") as full,
    ):
        separator.separate_array(music(2), RATE)
    assert isinstance(full.value.__cause__, OSError)  # the service recognises a full disk by it


@pytest.mark.usefixtures("voice")
def test_what_cannot_be_combined() -> None:
    with pytest.raises(ModelError, match="voice has no network for 'drums'; its stems are vocals"):
        add_ensemble("duo", {"voice": 1, "htdemucs_tiny": 1}, ["drums"])
    with pytest.raises(ModelError, match="there is no model 'mdx'"):
        add_ensemble("duo", {"voice": 1, "mdx": 1}, ["vocals"])
    with pytest.raises(ModelError, match="mix is a combination, which cannot be part"):
        add_ensemble("duo", {"voice": 1, "mix": 1}, ["vocals"])
    with pytest.raises(ModelError, match="the weight of voice is not a number above 0"):
        add_ensemble("duo", {"voice": 0}, ["vocals"])
    with pytest.raises(ModelError, match="there is a model mix already"):
        add_ensemble("mix", {"voice": 1}, ["vocals"])
    with pytest.raises(ModelError, match="stems is missing or not a list of names"):
        add_ensemble("duo", {"voice": 1}, [])
    with pytest.raises(OptionError, match="mix has no shifts"):
        Separator("mix", shifts=1)
    with pytest.raises(OptionError, match="mix has no config"):
        Separator("mix", config="voice.yaml")
    write(wrong={"steps": [{"model": "voice", "stems": ["drums"]}]})
    with pytest.raises(
        ModelError, match="wrong takes drums from voice, whose networks only make vocals; "
    ):
        Separator("wrong")
    write(nested={"steps": [{"model": "mix", "stems": ["vocals"]}]})
    with pytest.raises(ModelError, match="the model nested: mix is a combination, which cannot"):
        Separator("nested")


@pytest.mark.usefixtures("voice")
def test_models_of_a_combination_that_are_missing() -> None:
    with pytest.raises(ModelError, match="voice is part of mix; remove that first"):
        remove_model("voice")
    remove_model("mix")
    remove_model("voice")
    write(mix=STEPS)
    assert (list_models()[-1].name, list_models()[-1].installed) == ("mix", False)
    with pytest.raises(ModelError, match="there is no model 'voice'"):
        Separator("mix")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"steps": []}, "steps is not a list"),
        ({"steps": [3]}, "a step is not a mapping with model and stems"),
        ({"steps": [{"stems": ["a"]}]}, "a step needs either model or ensemble"),
        ({"steps": [{"model": ["a"], "stems": ["a"]}]}, "['a'] is not the name of a model"),
        ({"steps": [{"model": "best", "stems": ["a"]}]}, "best is a combination, which cannot be"),
        ({"ensemble": {"wrong": 1}, "stems": ["a"]}, "wrong is a combination, which cannot be"),
        (
            {"steps": [{"model": "a", "stem": "a"}]},
            "unknown setting stem; use model, ensemble, stems",
        ),
        ({"ensemble": {"a": 1}, "file": "a"}, "unknown setting file; use ensemble, stems, "),
        ({"ensemble": ["a"], "stems": ["a"]}, "ensemble has no weights by model"),
        ({"ensemble": {"a": True}, "stems": ["a"]}, "the weight of a is not a number above 0"),
        (
            {"steps": [{"model": "a", "stems": ["x"]}, {"model": "b", "stems": ["x"]}]},
            "two of its stems have the same name",
        ),
    ],
)
@pytest.mark.usefixtures("empty_machine")
def test_entries_that_are_wrong(entry: object, problem: str) -> None:
    registry_path().parent.mkdir()
    write(wrong=entry)
    with pytest.raises(ModelError) as error:
        find_model("wrong")
    assert str(error.value).startswith(f"{registry_path()}: the model wrong: {problem}")


def test_best(
    bag: Bag, opened: list[Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelNotInstalled, match="the model kim_vocals is not installed"):
        Separator("best")
    (listed,) = (model for model in list_models() if model.name == "best")
    assert (listed.stems, listed.installed) == (("vocals", "drums", "bass", "other"), False)
    with pytest.raises(ModelError, match="best is a model of the catalogue; choose another name"):
        add_model("best", bag.paths[0])
    own = tmp_path / "own"
    shutil.copytree(bag.paths[0].parent, own)
    save_model(
        network({**KIM, "dim": 8, "depth": 1, "heads": 1}), str(own / "MelBandRoformer.safetensors")
    )
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_PATH", str(own))
    song = music(3)
    song -= song.mean()
    with Separator("best") as separator:
        assert separator.overlap == 0.5
        result = separator.split(AudioArray(song, RATE, "a song"), tmp_path / "out", bit_depth=32)
    assert [type(one).__name__ for one in opened] == ["RoFormer", *["HTDemucs"] * 3]
    stems = {name: read(path) for name, path in result.stems.items()}
    assert_same(stems["vocals"], VOICE * song)
    assert_same(stems["drums"], demucs(song - VOICE * song, "drums"))
    assert_same(sum(stems.values(), start=np.zeros_like(song)), song)
