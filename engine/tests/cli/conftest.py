"""Fixtures for the tests of the command."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fakes import FakeRuntime

if TYPE_CHECKING:
    from networks import Bag


@pytest.fixture
def fakes(bag: Bag, fakes: list[FakeRuntime]) -> list[FakeRuntime]:  # noqa: ARG001  # installs it
    """Use fake networks, with htdemucs_ft installed."""
    return fakes


@pytest.fixture
def exfat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that rejects names that are invalid on exFAT."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mkdir = os.mkdir

    def refuse(path: Any, *more: Any) -> None:
        below = os.fspath(path).removeprefix(str(disk))
        if below != os.fspath(path) and set(below) & set('"*:<>?\\|'):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        mkdir(path, *more)

    monkeypatch.setattr(os, "mkdir", refuse)
    return disk
