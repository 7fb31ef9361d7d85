"""The catalogue, compared with the authors' publications."""

from __future__ import annotations

import re
from pathlib import Path

import demucs
import pytest
import yaml

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.roformer.settings import Settings
from aistemsplitter_engine.weights.catalogue import MODELS, resolve_name

REMOTE = Path(demucs.__file__).parent / "remote"
OFFICIAL = ["htdemucs", "htdemucs_ft", "htdemucs_6s"]


def test_the_models() -> None:
    assert list(MODELS) == [*OFFICIAL, "kim_vocals", "htdemucs_tiny"]
    assert all(name == model.name for name, model in MODELS.items())


@pytest.mark.parametrize("name", OFFICIAL)
def test_files_and_order_agree_with_demucs(name: str) -> None:
    bag = yaml.safe_load((REMOTE / f"{name}.yaml").read_text())
    model = MODELS[name]
    assert [file.signature for file in model.files] == bag["models"]
    published = (REMOTE / "files.txt").read_text().split()
    for file in model.files:
        assert file.name in published
        assert file.name == f"{file.signature}-{file.sha256[:8]}.th"
        assert len(file.sha256) == 64
    for position, weights in enumerate(bag.get("weights", [])):
        assert weights[position] == sum(weights) == 1
        assert model.files[position].stem == model.sources[position]


def test_sizes() -> None:
    assert MODELS["htdemucs"].size == 84_141_911
    assert all(m.size == sum(f.size for f in m.files) for m in MODELS.values() if m.files)


def test_names_and_aliases() -> None:
    assert [resolve_name(name) for name in MODELS] == list(MODELS)
    assert resolve_name("4s") == "htdemucs_ft"
    assert resolve_name("6s") == "htdemucs_6s"
    with pytest.raises(ModelError, match="no model 'mdx'; there are htdemucs, htdemucs_ft"):
        resolve_name("mdx")


def test_licences_and_training_data_are_stated() -> None:
    for name in OFFICIAL:
        assert "not covered by the MIT license" in MODELS[name].licence
        assert MODELS[name].origin.startswith("Trained by Meta on MUSDB18-HQ and 800 songs")
    assert "8.38" in MODELS["htdemucs_ft"].origin
    assert "10.98" in MODELS["kim_vocals"].origin
    assert all("SDR" in model.origin for model in MODELS.values())
    assert "demonstration" in MODELS["htdemucs_tiny"].description
    assert "synthetic" in MODELS["htdemucs_tiny"].description
    assert "models install htdemucs_ft" in MODELS["htdemucs_tiny"].description


def test_kim_vocals() -> None:
    """Its config gives the network that its author's YAML describes."""
    model = MODELS["kim_vocals"]
    (file,) = model.files
    assert model.stems == ("vocals", "instrumental")
    assert model.licence.startswith("MIT, by the author's model card")
    assert file.size == 913_106_900
    assert file.url is not None
    assert re.fullmatch(r"https://[^?]*/resolve/[0-9a-f]{40}/MelBandRoformer\.ckpt", file.url)
    assert model.config is not None
    settings = Settings.of(model.config)
    assert (settings.sources, settings.complement) == (model.sources, model.complement)
    assert settings.overlap == model.overlap
    assert (settings.nfft, settings.hop, settings.segment_frames) == (2048, 441, 352_800)
