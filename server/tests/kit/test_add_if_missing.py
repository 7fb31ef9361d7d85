from __future__ import annotations

import threading

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database, add_if_missing
from aistemsplitter_server.models.tables import InstalledModel


def test_concurrent_inserts(database: Database) -> None:
    start, failed = threading.Barrier(8), list[Exception]()

    def put() -> None:
        start.wait()
        try:
            for number in range(10):
                with database.write() as session:
                    row = {"name": f"model {number}", "seen_at": times.now()}
                    add_if_missing(session, InstalledModel, **row)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with database.read() as session:
        assert session.query(InstalledModel).count() == 10
