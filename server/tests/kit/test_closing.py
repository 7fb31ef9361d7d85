from __future__ import annotations

import pytest
from sqlalchemy import text

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from databases import Databases


@pytest.mark.parametrize("begun", ["before", "after"])
def test_a_connection_used_while_closing_is_closed_too(
    settings: Settings, databases: Databases, begun: str
) -> None:
    """A thread that is not joined may use one. Left open, it raises a ResourceWarning."""
    databases.create(settings.database)
    database = Database(settings.database)
    if begun == "after":
        database.close()
    for engine in (database.engine, database.writers, database._writer):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            driver = connection.connection.driver_connection
            assert driver is not None
            if begun == "before":
                database.close()
        with pytest.raises(Exception, match="closed"):
            driver.execute("SELECT 1")
    databases.drop(settings.database)
