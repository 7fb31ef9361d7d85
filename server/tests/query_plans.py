"""Query plans of SQLite, which show whether a query uses an index."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from aistemsplitter_server.kit.database import Database


@contextmanager
def planned(database: Database) -> Iterator[list[str]]:
    """Collect the plan of each SELECT that this thread executes in the block; SQLite only.

    A plan is one line for each of its steps, such as ``SEARCH splits USING INDEX ...``.
    """
    assert database.sqlite
    thread = threading.get_ident()
    asked: list[tuple[str, Any]] = []
    plans: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        reads = statement.lstrip().startswith(("SELECT", "WITH"))
        if reads and threading.get_ident() == thread:
            asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    with database.read_connection() as connection:
        for statement, parameters in asked:
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append("\n".join(str(row[3]) for row in found))
