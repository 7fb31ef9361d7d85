"""Checkpoints that are registered under a name, and then used by it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml

from aistemsplitter_engine import ModelError, OptionError, Separator, add_model, remove_model
from aistemsplitter_engine.checks.msst import demix
from aistemsplitter_engine.weights.listing import list_models
from aistemsplitter_engine.weights.registry import local_models
from aistemsplitter_engine.weights.store import TINY
from fakes import FakeRuntime
from roformers import BS, Config, config, network, save, separate_chunk
from stem_files import song

CHUNK = 64 * 40


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A RoFormer with the target karaoke; its YAML is beside it."""
    save(network(BS), tmp_path / "model.ckpt")
    write_config(tmp_path, config(BS, chunk=CHUNK, stems=["karaoke", "other"], target="karaoke"))
    return tmp_path / "model.ckpt"


def write_config(folder: Path, content: Config) -> Path:
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder / "config.yaml"


@pytest.mark.network
@pytest.mark.usefixtures("empty_machine")
def test_a_registered_model_is_used_by_its_name(checkpoint: Path) -> None:
    beside = checkpoint.with_name("config.yaml")
    added = add_model("mine", checkpoint, config=beside, stems=["Lead", "rest"], licence="MIT")
    assert (added.stems, added.licence) == (("lead", "rest"), "MIT")
    assert added.files == (checkpoint, beside)
    assert list_models()[-1] == added
    mixture = song(0.2)._array
    with Separator("mine", device="cpu", precision="float32") as separator:
        assert separator.model == "mine"
        assert separator.stems == ("lead", "rest", "residual", "no_lead")
        assert separator.overlap == 0.5
        got = separator.separate_array(mixture, 44_100).stems
    (expected,) = demix(partial(separate_chunk, network(BS)), mixture, CHUNK, 2)
    assert np.abs(got["lead"] - expected).max() < 1e-5
    assert np.array_equal(got["rest"], mixture - got["lead"])
    with pytest.raises(OptionError, match="mine has its own config; leave out"):
        Separator("mine", config=beside)
    remove_model("mine")
    with pytest.raises(ModelError, match="there is no model 'mine'"):
        Separator("mine")
    assert checkpoint.exists()


@pytest.mark.usefixtures("empty_machine", "fakes")
def test_an_htdemucs_with_other_names() -> None:
    add_model("renamed", TINY, stems=["a", "b", "c", "vocals"])
    own, renamed = Separator("htdemucs_tiny"), Separator("renamed")
    assert renamed.stems[:6] == ("a", "b", "c", "vocals", "instrumental", "residual")
    audio = song(1)
    before = own.separate_array(audio._array, 44_100).stems
    after = renamed.separate_array(audio._array, 44_100).stems
    assert list(after) == ["a", "b", "c", "vocals"]
    for mine, theirs in zip(after.values(), before.values(), strict=True):
        assert mine.shape == theirs.shape
    # Other names are another identity: an unfinished run is not resumed with them.
    assert own._model.identity(["drums"]) != renamed._model.identity(["a"])
    add_model("same", TINY)
    assert own._model.identity(["drums"]) == Separator("same")._model.identity(["drums"])


@pytest.mark.usefixtures("empty_machine")
def test_what_cannot_be_registered(checkpoint: Path, tmp_path: Path) -> None:
    beside = checkpoint.with_name("config.yaml")
    missing = tmp_path / "missing.ckpt"
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes(checkpoint.read_bytes()[:-5000])
    with pytest.raises(ModelError, match=r"missing\.ckpt cannot be read: No such file"):
        add_model("mine", missing)
    with pytest.raises(ModelError, match=r"damaged\.ckpt cannot be used as a model: "):
        add_model("mine", damaged, config=beside)
    with pytest.raises(ModelError, match="--config or config="):
        add_model("mine", checkpoint)
    with pytest.raises(ModelError, match=r"missing\.ckpt cannot be read: No such file"):
        add_model("mine", checkpoint, config=missing)
    with pytest.raises(ModelError, match="it has one stem and the rest, not the 3 that were named"):
        add_model("mine", checkpoint, config=beside, stems=["a", "b", "c"])
    with pytest.raises(ModelError, match="its stems are vocals, instrumental, not vocals, music"):
        add_model("mine", checkpoint, config=beside, stems=["vocals", "music"])
    with pytest.raises(ModelError, match="it has 4 stems, not the 2 that were named"):
        add_model("mine", TINY, stems=["a", "b"])
    with pytest.raises(ModelError, match=r"a source '\.\./a', not supported"):
        add_model("mine", checkpoint, config=beside, stems=["../a"])
    with pytest.raises(ModelError, match="stems are a list of names, not 'vocals'"):
        add_model("mine", checkpoint, config=beside, stems="vocals")
    with pytest.raises(ModelError, match="htdemucs is a model of the catalogue"):
        add_model("htdemucs", checkpoint, config=beside)
    assert local_models() == {}


@pytest.mark.usefixtures("empty_machine")
def test_a_changed_checkpoint_is_refused(checkpoint: Path, fakes: list[FakeRuntime]) -> None:
    beside = checkpoint.with_name("config.yaml")
    add_model("mine", checkpoint, config=beside)
    Separator("mine").warm_up()
    assert len(fakes) == 1
    content = config(BS, chunk=2 * CHUNK, stems=["karaoke", "other"], target="karaoke")
    write_config(checkpoint.parent, content)
    with pytest.raises(ModelError, match=r"config\.yaml is damaged or another file .*remove mine"):
        Separator("mine")
    beside.unlink()
    with pytest.raises(ModelError, match=r"config\.yaml cannot be read: No such file"):
        Separator("mine")
