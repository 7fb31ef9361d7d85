"""Opening a model by name or path, and loading only the networks that it needs."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import reference
from aistemsplitter_engine.errors import ModelError, ModelNotInstalled, OptionError
from aistemsplitter_engine.families.base import Network
from aistemsplitter_engine.pipeline.model import Model
from aistemsplitter_engine.weights.store import TINY
from fakes import FakeRuntime, use_fake
from networks import SMALL, Bag, write_safetensors


def open_model(name: str | os.PathLike[str]) -> Model:
    return Model(name, "cpu", "float32")


@pytest.mark.usefixtures("bag")
def test_by_name_and_alias() -> None:
    assert open_model("htdemucs_ft").name == open_model("4s").name == "htdemucs_ft"
    tiny = open_model("htdemucs_tiny")
    assert tiny.sources == ("drums", "bass", "other", "vocals")
    assert tiny.stems == (
        *(*tiny.sources, "instrumental", "residual"),
        *("no_drums", "no_bass", "no_other", "no_vocals"),
    )


@pytest.mark.parametrize("name", ["htdemucs_xl", "HTDEMUCS", "", "mdx.onnx"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ModelError, match=f"there is no model {name!r}; there are htdemucs, "):
        open_model(name)


@pytest.mark.usefixtures("empty_machine")
def test_a_model_that_is_not_installed() -> None:
    with pytest.raises(ModelNotInstalled, match="aistemsplitter-local models install htdemucs_6s"):
        open_model("6s")


def test_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "my model.v2"
    shutil.copy(TINY, own)
    shutil.copy(TINY, tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    assert open_model(own).name == "my model.v2"  # any name will do for a Path,
    assert open_model(str(own)).name == "my model.v2"  # for a text with a slash in it,
    assert open_model("mine.safetensors").name == "mine.safetensors"  # or with the extension
    with pytest.raises(ModelError, match=r"there is no model 'my model\.v2'"):
        open_model("my model.v2")


@pytest.mark.parametrize("name", ["missing.th", "missing/file", Path("missing")])
def test_a_path_to_nothing(name: str | Path) -> None:
    with pytest.raises(ModelError, match=f"the model {name} cannot be read: No such file"):
        open_model(name)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "song.th"
    path.write_bytes(b"RIFF")
    with pytest.raises(ModelError, match=f"{path} cannot be used as a model: it is neither"):
        open_model(path)


def test_custom_stems(tmp_path: Path) -> None:
    network = reference.network(sources=["dialogue", "effects"], **SMALL)
    model = open_model(write_safetensors(network, tmp_path / "cinema.safetensors"))
    assert model.stems == (
        "dialogue",
        "effects",
        "residual",
        "no_dialogue",
        "no_effects",
    )  # no vocals to subtract for an instrumental
    with pytest.raises(
        OptionError, match=r"cinema\.safetensors has no stem 'instrumental'; it has"
    ):
        model.choose(["instrumental"])


def test_choosing_stems() -> None:
    tiny = open_model("htdemucs_tiny")
    assert tiny.choose(None) == tiny.sources
    assert tiny.choose(["vocals", "residual", "vocals"]) == ("vocals", "residual")
    with pytest.raises(OptionError, match="has no stem 'voice'; it has drums, bass, other, vocals"):
        tiny.choose(["vocals", "voice"])
    with pytest.raises(OptionError, match="no stem was requested"):
        tiny.choose([])
    with pytest.raises(OptionError, match=r"stems are a list of names: \['vocals'\], not 'vocals'"):
        tiny.choose("vocals")


@pytest.mark.parametrize(
    ("stems", "needed"),
    [
        (["vocals"], ["vocals"]),
        (["instrumental"], ["vocals"]),
        (["instrumental", "bass"], ["bass", "vocals"]),
        (["no_drums", "bass"], ["drums", "bass"]),
        (["residual"], ["drums", "bass", "other", "vocals"]),
        (["vocals", "drums"], ["drums", "vocals"]),
    ],
)
@pytest.mark.usefixtures("bag")
def test_only_required_networks_are_loaded(
    monkeypatch: pytest.MonkeyPatch, stems: list[str], needed: list[str]
) -> None:
    opened = use_fake(monkeypatch)
    model = open_model("htdemucs_ft")
    assert opened == []  # nothing is loaded until it is needed
    assert list(model.needed(stems)) == needed
    parts = model.parts(model.needed(stems))
    # Member k gives source k and nothing else.
    sources = [part and part.sources for part in parts]
    assert sources == [(k,) if s in needed else None for k, s in enumerate(model.sources)]
    assert len(opened) == len(needed)
    model.parts(model.needed(stems))
    assert len(opened) == len(needed)  # and stays loaded


def test_one_network_makes_all_stems(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = use_fake(monkeypatch)
    model = open_model("htdemucs_tiny")
    (part,) = model.parts(["bass", "vocals"])
    assert part is not None
    assert part.sources == (1, 3)
    assert len(opened) == 1


def test_the_bag_is_in_order(bag: Bag, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake(monkeypatch)
    model = open_model("htdemucs_ft")
    every = model.identity(model.sources)
    assert every == [open_model(path).identity(model.sources)[0] for path in bag.paths]
    assert len(set(every)) == 4
    assert model.identity(["other"]) == [every[2]]
    assert every[0].endswith(" FakeRuntime float32")


def test_threads_load_a_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(network: Network) -> FakeRuntime:
        time.sleep(0.05)  # so that the other threads request it meanwhile
        return FakeRuntime(network)

    opened = use_fake(monkeypatch, slowly)
    model = open_model("htdemucs_tiny")
    together = threading.Barrier(8)

    def load(_: int) -> object:
        together.wait(60)
        (part,) = model.parts(["vocals"])
        return part and part.runtime

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(load, range(8))) == set(opened)
    assert len(opened) == 1


def test_a_bag_with_a_network_of_another_model(
    tmp_path: Path, bag: Bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake(monkeypatch)
    for path in bag.paths:
        shutil.copy(path, tmp_path)
    stranger = tmp_path / bag.paths[1].name
    write_safetensors(reference.network(sources=["dialogue", "effects"], **SMALL), stranger)
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_PATH", str(tmp_path))
    model = open_model("htdemucs_ft")
    model.parts(["drums"])
    with pytest.raises(ModelError) as caught:
        model.parts(["drums", "bass"])
    assert str(caught.value) == (
        f"{stranger} cannot be used as a model: it makes dialogue, effects, unlike htdemucs_ft"
    )
