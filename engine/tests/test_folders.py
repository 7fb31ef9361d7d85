"""Where weights and compiled networks are kept, also of a user without a home."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import NoReturn

import pytest

from aistemsplitter_engine.folders import NO_HOME, cache_folder, data_folder
from aistemsplitter_engine.runtimes.kept import Kept
from aistemsplitter_engine.weights.store import is_installed, models_folder


@pytest.fixture
def _homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as a user of its own."""

    def unknown(_uid: int) -> NoReturn:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "AISTEMSPLITTER_MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_homeless")
def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_folder() == data_folder() == NO_HOME
    assert models_folder() == NO_HOME / "models"
    assert not is_installed("htdemucs")
    assert not Kept("any-thing").exists()
    assert [*tmp_path.iterdir()] == []


def test_with_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder().is_relative_to(tmp_path)
