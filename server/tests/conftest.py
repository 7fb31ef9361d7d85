from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from aistemsplitter_server.kit import migrate, secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import PREFIX, Settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The developer's own settings and .env stay out."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data folder of the test's own."""
    return Settings(data=tmp_path / "data")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that is up to date, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "service.db"
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.close()
    return path


@pytest.fixture
def database(settings: Settings, migrated: Path) -> Iterator[Database]:
    """A real SQLite file, migrated."""
    database = Database(settings.database)
    shutil.copy(migrated, str(database.engine.url.database))
    yield database
    database.close()


@pytest.fixture
def server_secrets(settings: Settings) -> Secrets:
    """The secrets of the test's data folder."""
    return secrets.load(settings.data)
