"""Keys, and the row of a worker that is alive."""

from __future__ import annotations

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import ALL, Scope
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.worker.tables import Worker


def new_key(database: Database, secrets: Secrets, *allowed: Scope) -> accounts.NewKey:
    """A key of an account of its own with ten minutes, with these scopes or all."""
    with database.write() as session:
        account = accounts.create_account(session, "someone", free_seconds=600)
        return accounts.create_key(session, secrets, account.id, allowed=allowed or ALL)


def bearer(api_key: str) -> dict[str, str]:
    """The header that the key comes in."""
    return {"Authorization": f"Bearer {api_key}"}


def beat(database: Database, worker_id: str = "worker", audio_seconds: float = 0) -> None:
    """A worker's row, as if it had just been seen."""
    now = times.now()
    with database.write() as session:
        session.add(
            Worker(
                id=worker_id,
                host="here",
                pid=1,
                started_at=now,
                seen_at=now,
                stopping=False,
                busy_seconds=audio_seconds / 10,
                audio_seconds=audio_seconds,
            )
        )
