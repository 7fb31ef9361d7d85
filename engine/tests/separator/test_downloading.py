"""Downloading a separator's weights, and the list of models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aistemsplitter_engine import Separator, install, list_models
from aistemsplitter_engine.errors import ModelNotInstalled, OptionError
from aistemsplitter_engine.weights.catalogue import MODELS
from mirror import NAME, Published, published_tiny
from stem_blocks import joined
from stem_files import STEMS, song

pytestmark = pytest.mark.usefixtures("empty_machine")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    with published_tiny(tmp_path, monkeypatch) as model:
        yield model


@pytest.mark.usefixtures("fakes")
def test_missing_weights_are_downloaded_once(model: Published) -> None:
    reported: list[tuple[int, int]] = []
    separator = Separator(NAME, download=True, on_download=lambda *now: reported.append(now))
    assert list(joined(separator.separate(song(1)))) == [*STEMS]
    size = model.spec.size
    assert reported[-1] == (size, size)
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)
    Separator(NAME, download=True)
    Separator(NAME)
    assert len(model.requests) == 1


def test_nothing_is_downloaded_unless_requested(model: Published) -> None:
    with pytest.raises(ModelNotInstalled, match=f"the model {NAME} is not installed"):
        Separator(NAME)
    assert model.requests == []


def test_options_are_checked_before_the_download(model: Published) -> None:
    for options in ({"device": "tpu"}, {"precision": "int8"}, {"shifts": -1}, {"overlap": 2}):
        with pytest.raises(OptionError):
            Separator(NAME, download=True, **options)
    assert model.requests == []


def test_the_list_of_models(model: Published) -> None:
    before = {info.name: info for info in list_models()}
    assert [*before] == [*MODELS, "best"]
    assert before["htdemucs_ft"].aliases == ("4s",)
    assert before["htdemucs_6s"].stems == (*STEMS, "guitar", "piano")
    assert "not covered by the MIT license" in before["htdemucs"].licence
    assert [name for name, info in before.items() if info.installed] == ["htdemucs_tiny"]
    paths = install(NAME)
    after = {info.name: info for info in list_models()}
    assert after[NAME].installed
    assert after[NAME].files == paths
    assert [path.read_bytes() for path in paths] == [model.path.read_bytes()]
