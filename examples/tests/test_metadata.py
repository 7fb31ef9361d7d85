"""Metadata of each package: its author, source and licence."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("sdk", "engine", "server")


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Path:
    return ROOT / str(request.param)


@pytest.fixture
def metadata(package: Path) -> dict[str, Any]:
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert isinstance(project, dict)
    return project


def test_licence_is_in_the_package(package: Path, metadata: dict[str, Any]) -> None:
    assert metadata["license-files"] == ["LICENSE"]
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_index_page(metadata: dict[str, Any]) -> None:
    assert metadata["authors"]
    assert set(metadata["urls"]) == {"Homepage", "Source", "Issues", "Changelog"}
    assert "Typing :: Typed" in metadata["classifiers"]
