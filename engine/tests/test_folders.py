"""Folders of weights and compiled networks, also for a user without a home directory."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import NoReturn

import platformdirs
import pytest

from aistemsplitter_engine.folders import NO_HOME, cache_folder, data_folder
from aistemsplitter_engine.runtimes.compiled_model_cache import CachedModel
from aistemsplitter_engine.weights.store import folders, is_installed, models_folder


@pytest.fixture
def _homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home directory, as in a container with a numeric user."""

    def unknown(_uid: int) -> NoReturn:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "AISTEMSPLITTER_MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_homeless")
def test_without_a_home_nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_folder() == data_folder() == NO_HOME
    assert models_folder() == NO_HOME / "models"
    assert not is_installed("htdemucs")
    assert not CachedModel("anything").exists()
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("_homeless")
@pytest.mark.parametrize("found", [Path("~/.cache/aistemsplitter"), KeyError("uid not found")])
def test_other_versions_of_platformdirs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Path | KeyError
) -> None:
    """Versions before 4.10 return ``~`` unexpanded, a folder of that name in the current one."""

    def find(*_: object, **__: object) -> Path:
        if isinstance(found, KeyError):
            raise found
        return found

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platformdirs, "user_cache_path", find)
    monkeypatch.setattr(platformdirs, "user_data_path", find)
    assert cache_folder() == data_folder() == NO_HOME


@pytest.mark.usefixtures("_homeless")
@pytest.mark.parametrize("name", ["TORCH_HOME", "HF_HOME", "HF_HUB_CACHE"])
def test_settings_with_a_home_that_cannot_be_resolved(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for other in ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "AISTEMSPLITTER_WEIGHTS_PATH"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "~/weights")
    assert all(folder.is_absolute() for folder in folders())


def test_with_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder().is_relative_to(tmp_path)
