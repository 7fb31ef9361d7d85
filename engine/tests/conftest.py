"""Fixtures for all tests of the engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aistemsplitter_engine.pipeline.memory import Budget
from fakes import FakeRuntime, use_fake

if TYPE_CHECKING:
    from networks import Bag

# Modules that compare with PyTorch and Demucs, and helpers that import these.
REFERENCE = re.compile(
    r"^(?:import|from) (?:torch|demucs|safetensors|omegaconf|pymss_core)\b"
    r"|^(?:import|from) (?:reference|networks|roformers)\b",
    re.MULTILINE,
)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Ignore modules that compare with PyTorch if it is not installed: not every Python has it."""
    if find_spec("torch") is not None:
        return None
    module = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    needs = module.suffix == ".py" and module.exists() and REFERENCE.search(module.read_text())
    return True if needs else None


@pytest.fixture(autouse=True)
def memory_is_released() -> Iterator[None]:
    """Check after every test that its songs released their memory, however they ended."""
    yield
    assert Budget._taken == 0


@pytest.fixture(scope="session")
def songs() -> Path:
    """Return the folder of songs with their true stems."""
    return Path(__file__).parents[2] / "songs"


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakeRuntime]:
    """Replace all networks by fakes; return those that were opened."""
    return use_fake(monkeypatch)


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide all weights but those that ship with the package."""
    monkeypatch.delenv("AISTEMSPLITTER_WEIGHTS_PATH", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    for name in ("AISTEMSPLITTER_MODELS_DIR", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture(scope="session")
def _bag(tmp_path_factory: pytest.TempPathFactory) -> Bag:
    pytest.importorskip("torch", reason="writes networks with PyTorch, which is not installed")
    from networks import write_bag  # not above: PyTorch takes seconds, and most tests need none

    return write_bag(tmp_path_factory.mktemp("bag"))


@pytest.fixture
def bag(_bag: Bag, empty_machine: None, monkeypatch: pytest.MonkeyPatch) -> Bag:  # noqa: ARG001
    """Install four small random networks as htdemucs_ft."""
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_PATH", str(_bag.paths[0].parent))
    return _bag
