"""Stems are deleted after their retention period, and not before."""

from __future__ import annotations

from datetime import timedelta

import httpx2
from sqlalchemy import update

from aistemsplitter_server.kit import times
from aistemsplitter_server.splits.tables import Split
from customers import Customer
from processes import Service, ended, split, until, upload


def test_expired_stems_are_deleted(
    client: httpx2.Client, service: Service, someone: Customer
) -> None:
    worker = service.start("worker")
    upload_id = upload(client)
    old, new = (split(client, upload_id, stems=["vocals"]) for _ in range(2))
    urls = {each: ended(client, each)["stems"]["vocals"] for each in (old, new)}
    worker.terminate()
    worker.wait()
    with someone.database.write() as session:
        over = times.now() - timedelta(seconds=1)
        session.execute(update(Split).where(Split.id == old).values(expires_at=over))
    service.start("worker")  # the worker sweeps at its start
    folder = service.settings.data / "storage" / "splits"
    until(
        lambda: [path.name for path in folder.iterdir()] == [new]
    )  # its files are deleted before the split expires
    assert httpx2.get(urls[old], trust_env=False, timeout=60).status_code == 404
    assert httpx2.get(urls[new], trust_env=False, timeout=60).status_code == 200
    assert someone.balance == 3600 - 2 * 20
