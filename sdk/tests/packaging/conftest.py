from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from commands import make_venv, run

SDK = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it would be published."""
    folder = tmp_path_factory.mktemp("wheel")
    try:
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, SDK)
    except AssertionError as problem:
        if "CI" in os.environ:
            raise
        pytest.skip(f"no package index: {problem}")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def tools(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """The folder of ``uv`` and ``poetry``."""
    commands = make_venv(tmp_path_factory.mktemp("tools"))
    run(commands / "python", "-m", "pip", "install", "--quiet", "uv>=0.8", "poetry>=2,<3")
    return commands
