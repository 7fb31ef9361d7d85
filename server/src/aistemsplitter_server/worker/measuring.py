"""Measuring uploads that have not passed through the API. Requests for their splits wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import round_robin
from aistemsplitter_server.uploads import measured, measuring_queue
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.dispatching import Item, Limits

ACCOUNT = 2  # uploads of one account that are measured at the same time


class Measuring:
    """The uploads that are due to be measured, for a dispatcher."""

    limits = Limits(total=4)
    needs_disk = True

    def account_limit(self, _session: Session, _account_id: str) -> int:
        """Return how many uploads of an account this process may measure at the same time."""
        return ACCOUNT

    def accounts(
        self, session: Session, now: datetime, after: str, limit: int
    ) -> list[round_robin.Waiting]:
        """Return accounts with uploads to measure, in the order of their ids."""
        return round_robin.accounts(
            session, Upload.account_id, Upload.measure_at, now=now, after=after, limit=limit
        )

    def due(
        self,
        session: Session,
        now: datetime,
        account_id: str,
        *,
        running: Sequence[Item],
        limit: int,
    ) -> Sequence[Item]:
        """Return an account's uploads to measure, the earliest first."""
        without = [item.id for item in running]
        found = measuring_queue.due(session, now, account_id, without, limit)
        return [Item(upload_id, account_id) for upload_id in found]

    def run(self, context: WorkerContext, item_id: str) -> None:
        """Measure an upload, unless it is not due or another process has claimed it."""
        upload = context.write(lambda session: measuring_queue.begin(session, item_id))
        if upload is not None:
            measured.measure(context.database, context.settings, context.storage, upload)

    def renew(self, context: WorkerContext, item_ids: Sequence[str]) -> None:
        """Renew the claims on uploads that are being measured."""
        with context.database.write() as session:
            measuring_queue.renew(session, item_ids)
