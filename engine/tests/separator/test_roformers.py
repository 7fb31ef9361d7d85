"""RoFormers from file to stems: their config, their stems, and the model in the catalogue."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import save_model

from aistemsplitter_engine import ModelError, OptionError, Separator
from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.checks.msst import demix
from cli_songs import split, write_song
from fakes import FakeRuntime
from roformers import BS, KIM, config, network, save, separate_chunk
from stem_files import read, song

CHUNK = 64 * 40
STEMS = ["vocals", "drums", "other"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.ckpt of three stems and config.yaml, target.ckpt and target.yaml."""
    folder = tmp_path_factory.mktemp("roformer")
    save(network({**BS, "num_stems": 3}), folder / "model.ckpt")
    made = config({**BS, "num_stems": 3}, chunk=CHUNK, stems=STEMS)
    (folder / "config.yaml").write_text(yaml.safe_dump(made))
    save(network(BS), folder / "target.ckpt")
    made = config(BS, chunk=CHUNK, stems=["karaoke", "other"], target="karaoke")
    (folder / "target.yaml").write_text(yaml.safe_dump(made))
    return folder


def expected(seconds: float) -> tuple[FloatArray, FloatArray]:
    """Return a mixture and the stems of the model that the reference makes of it."""
    mixture = song(seconds)._array
    reference = network({**BS, "num_stems": 3})
    return mixture, demix(partial(separate_chunk, reference), mixture, CHUNK, 2)


@pytest.mark.network
def test_stems_are_those_of_the_reference(model: Path) -> None:
    with Separator(
        model / "model.ckpt", config=model / "config.yaml", device="cpu", precision="float32"
    ) as separator:
        assert separator.overlap == 0.5
        assert separator.stems == (
            *STEMS,
            *("instrumental", "residual"),
            *(f"no_{stem}" for stem in STEMS),
        )
        mixture, stems = expected(0.2)
        got = separator.separate_array(mixture, 44_100, stems=separator.stems).stems
    for name, stem in zip(STEMS, stems, strict=True):
        assert np.abs(got[name] - stem).max() < 1e-5
    assert np.array_equal(got["instrumental"], mixture - got["vocals"])
    assert np.abs(got["residual"] - (mixture - stems.sum(0))).max() < 1e-5


@pytest.mark.network
def test_only_the_wanted_stems_are_computed(model: Path) -> None:
    with Separator(
        model / "model.ckpt", config=model / "config.yaml", device="cpu", precision="float32"
    ) as separator:
        mixture, stems = expected(0.1)
        computed = []
        for wanted in (["drums"], ["other", "drums"], ["instrumental"], ["drums"]):
            got = separator.separate_array(mixture, 44_100, stems=wanted).stems
            assert list(got) == wanted
            if "drums" in wanted:
                assert np.abs(got["drums"] - stems[1]).max() < 1e-5
            (loaded,) = separator._model._loaded.values()
            computed.append(loaded.runtime.network.sources)
        # A network is loaded again only if it lacks a stem.
        assert computed == [("drums",), ("drums", "other"), tuple(STEMS), tuple(STEMS)]


@pytest.mark.usefixtures("fakes")
def test_one_target_and_the_rest(model: Path) -> None:
    separator = Separator(model / "target.ckpt", config=model / "target.yaml")
    assert separator.stems == ("karaoke", "other", "residual", "no_karaoke")
    assert separator.choose(None) == ("karaoke", "other")
    source = song(0.5)
    got = separator.separate_array(source._array, 44_100).stems
    assert np.array_equal(got["other"], source._array - got["karaoke"])
    only = separator.separate_array(source._array, 44_100, stems=["other"]).stems
    assert list(only) == ["other"]
    assert np.array_equal(only["other"], got["other"])


def test_options_that_a_roformer_does_not_have(model: Path) -> None:
    path, beside = model / "model.ckpt", model / "config.yaml"
    with pytest.raises(OptionError, match=r"model\.ckpt has no shifts, only HTDemucs has"):
        Separator(path, config=beside, shifts=1)
    with pytest.raises(ModelError, match=r"model\.ckpt cannot be used .*--config or config="):
        Separator(path)
    with pytest.raises(ModelError, match=r"model\.num_stems 1, but its weights have 3"):
        Separator(path, config=model / "target.yaml")
    with pytest.raises(OptionError, match="htdemucs_tiny has its own config; leave out"):
        Separator("htdemucs_tiny", config=beside)
    with pytest.raises(ModelError, match=r"the config .* cannot be read: No such file"):
        Separator(path, config=model / "missing.yaml")


@pytest.mark.usefixtures("fakes")
def test_the_command(model: Path, tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.wav", 1)
    run = partial(split, path, "-o", tmp_path / "out", "--model", model / "target.ckpt")
    code, _, err = run()
    assert code == 1
    assert "pass that with --config or config=" in err
    code, out, err = run("--config", model / "target.yaml")
    assert (code, err) == (0, "")
    stems = {name: read(tmp_path / "out" / "song" / f"{name}.wav") for name in ("karaoke", "other")}
    assert all(np.abs(stem).max() > 0.01 for stem in stems.values())
    code, out, err = run("--config", model / "target.yaml")
    assert "skip" in out + err

    # Another config makes other stems of the same checkpoint.
    other = config(BS, chunk=CHUNK * 2, stems=["karaoke", "other"], target="karaoke")
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    code, _, err = run("--config", tmp_path / "other.yaml")
    assert code == 1
    assert "were made with config" in err


@pytest.mark.usefixtures("empty_machine")
def test_kim_vocals_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fakes: list[FakeRuntime]
) -> None:
    """With a small network of random weights under the name of the official file."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_PATH", str(own))
    small = network({**KIM, "dim": 8, "depth": 1, "heads": 1})
    path = save(small, own / "MelBandRoformer.ckpt")
    with pytest.raises(ModelError, match=r"MelBandRoformer\.ckpt is damaged or another file"):
        Separator("kim_vocals")
    path.unlink()
    # Under this name, files in the user's own folder are not verified.
    save_model(small, str(own / "MelBandRoformer.safetensors"))
    with Separator("kim_vocals") as separator:
        assert separator.stems == ("vocals", "instrumental", "residual", "no_vocals")
        assert separator.choose(None) == ("vocals", "instrumental")
        assert separator.overlap == 0.5
        result = separator.split(song(1), tmp_path / "out")
        assert sorted(result.stems) == ["instrumental", "vocals"]
    assert [fake.network.segment_frames for fake in fakes] == [352_800]
