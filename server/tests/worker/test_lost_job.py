"""A split whose job is missing from the queue."""

from __future__ import annotations

from datetime import timedelta

import httpx2
from sqlalchemy import text, update

from aistemsplitter_server.kit import times
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.worker.reconciliation import LOST_AFTER
from customers import Customer
from processes import Service, ended, split, upload


def test_a_lost_job_is_queued_again(
    client: httpx2.Client, service: Service, someone: Customer
) -> None:
    upload_id = upload(client)
    lost, waits, new = (split(client, upload_id, stems=["vocals"]) for _ in range(3))
    jobs = "workflow_status" if someone.database.sqlite else "dbos.workflow_status"
    with someone.database.write() as session:
        # As if the job had been lost a while ago, or a moment ago, which is not reconciled yet.
        for gone in (lost, new):
            query = text(f"DELETE FROM {jobs} WHERE workflow_uuid LIKE :job")
            assert session.execute(query, {"job": f"{gone}-%"}).rowcount == 1
        before = times.now() - LOST_AFTER - timedelta(seconds=1)
        session.execute(update(Split).where(Split.id.in_([lost, waits])).values(updated_at=before))
    service.start("worker")
    for split_id in (lost, waits):
        final = ended(client, split_id)
        assert (final["status"], list(final["stems"])) == ("succeeded", ["vocals"])
    with someone.database.read() as session:
        attempts = {each: session.get_one(Split, each).attempt for each in (lost, waits, new)}
    # The id of the lost job is not reused; the waiting job was not queued twice.
    assert attempts == {lost: 2, waits: 1, new: 0}
    assert someone.balance == 3600 - 3 * 20
    assert f"the job of {lost} is lost" in service.log()
