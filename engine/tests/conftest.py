"""What all of the engine's tests share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from networks import Bag


@pytest.fixture(scope="session")
def songs() -> Path:
    """Return the folder of songs with their true stems."""
    return Path(__file__).parents[2] / "songs"


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no weights be found but those that ship with the package."""
    monkeypatch.delenv("AISTEMSPLITTER_WEIGHTS_PATH", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    for name in ("AISTEMSPLITTER_MODELS_DIR", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture(scope="session")
def _bag(tmp_path_factory: pytest.TempPathFactory) -> Bag:
    from networks import write_bag  # not above: PyTorch takes seconds, and most tests need none

    return write_bag(tmp_path_factory.mktemp("bag"))


@pytest.fixture
def bag(_bag: Bag, empty_machine: None, monkeypatch: pytest.MonkeyPatch) -> Bag:  # noqa: ARG001
    """Install four small random networks as htdemucs_ft."""
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_PATH", str(_bag.paths[0].parent))
    return _bag
