"""A client that stalls within a transaction does not block others for ever."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from aistemsplitter_server.kit import database as module
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from databases import only_postgres

pytestmark = only_postgres
HOLD = text("LOCK TABLE leases IN ACCESS EXCLUSIVE MODE")


def test_its_locks_are_released(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_IN_TRANSACTION", "100ms")
    stalled = Database(settings.database)
    with stalled.writers.connect() as connection:
        connection.execute(HOLD)
        with database.write() as session:  # waits until the server ends the first one
            session.execute(text("SET LOCAL lock_timeout = '60s'"))
            session.execute(HOLD)
        with pytest.raises(DBAPIError):
            connection.execute(HOLD)
    stalled.close()
