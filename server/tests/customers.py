"""Customers with credits, keys and uploads, and shortcuts for their actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from aistemsplitter_server.accounts import scopes
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.models.catalogue import TINY, Model
from aistemsplitter_server.models.service import Serving
from aistemsplitter_server.operations import opening
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.schemas import CreateSplit
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.uploads.tables import Upload


@dataclass(frozen=True)
class Customer:
    """An account with one key."""

    database: Database
    caller: Caller
    api_key: str
    webhook_secret: str

    @property
    def headers(self) -> dict[str, str]:
        """The authorization header."""
        return {"Authorization": f"Bearer {self.api_key}"}

    @property
    def balance(self) -> int:
        """The remaining seconds."""
        with self.database.read() as session:
            return credits.balance(session, self.caller.account_id)

    def upload(self, seconds: float = 20.0, **fields: Any) -> Upload:
        """Create an uploaded and measured file, in the database only."""
        now = times.now()
        row = Upload(
            **{
                "id": ids.new("upl"),
                "account_id": self.caller.account_id,
                "key_id": self.caller.key_id,
                "is_test": self.caller.is_test,
                "filename": "song.flac",
                "content_type": "audio/flac",
                "content_length": 1000,
                "created_at": now,
                "expires_at": now + timedelta(hours=72),
                "stored_at": now,
                "measured_at": now,
                "duration_seconds": seconds,
                "sample_rate": 44100,
                **fields,
            }
        )
        with self.database.write() as session:
            session.add(row)
        return row

    def request(self, upload: Upload, **fields: Any) -> dict[str, Any]:
        """Return the body that requests a split of an upload with the built-in model."""
        source = {"type": "uploaded_file", "uploadId": upload.id}
        return {"input": source, "stemModel": TINY.name, **fields}

    def split(
        self, seconds: float = 20.0, *, priority: Literal["interactive", "batch"] = "interactive"
    ) -> Split:
        """Create a queued split."""
        return self.split_of(self.upload(seconds), priority=priority)

    def split_of(
        self,
        upload: Upload,
        *,
        priority: Literal["interactive", "batch"] = "interactive",
        served_by: Model = TINY,
        **fields: Any,
    ) -> Split:
        """Create a queued split of this upload."""
        request = CreateSplit.model_validate(self.request(upload, **fields))
        with self.database.write() as session:
            return service.create(
                session,
                self.caller,
                request,
                source=upload,
                filename=upload.filename,
                serving=Serving(served_by),
                priority=priority,
                allowed=Limits(),
            )

    def finished(
        self,
        storage: Storage,
        seconds: float = 20.0,
        *,
        filename: str = "song.flac",
        **fields: Any,
    ) -> Split:
        """Create a succeeded split; each stem in the storage contains its own name."""
        upload = self.upload(seconds, filename=filename)
        split = self.split_of(upload, **fields)
        with self.database.write() as session:
            begun = service.begin(session, split.id, "wrk_1")
            assert begun is not None
        with TemporaryDirectory() as folder:
            for stem in split.stems:
                path = Path(folder, stem)
                path.write_text(stem * 1000)
                storage.put_file(keys.stem(split.id, begun.attempt, stem, "wav"), path)
        with self.database.write() as session:
            service.succeed(
                session,
                split.id,
                begun.attempt,
                sample_rate=44100,
                warnings=[],
                retention=timedelta(hours=72),
            )
        with self.database.read() as session:
            return session.get_one(Split, split.id)

    def fetch(self, url: str) -> str:
        """Create a split of a song that is still to be fetched; return its id."""
        source = {"type": "direct_url", "url": url}
        request = CreateSplit.model_validate({"input": source, "stemModel": TINY.name})
        with self.database.write() as session:
            return service.create(
                session,
                self.caller,
                request,
                source=None,
                filename="song.flac",
                serving=Serving(TINY),
                priority="interactive",
                allowed=Limits(),
            ).id


def of(database: Database, account_id: str, key_id: str) -> Customer:
    """Return a customer of an existing account, without a key."""
    allowed = frozenset(scope.value for scope in scopes.ALL)
    caller = Caller(account_id, key_id, False, allowed, "interactive")
    return Customer(database, caller, api_key="", webhook_secret="")


def customer(
    database: Database,
    secrets: Secrets,
    *,
    seconds: int = 600,
    test: bool = False,
    allowed: tuple[scopes.Scope, ...] = scopes.ALL,
) -> Customer:
    """Return a new customer."""
    with database.write() as session:
        account = opening.open_account(session, "someone", free_seconds=seconds)
        key = accounts.create_key(session, secrets, account.id, test=test, allowed=allowed)
    caller = accounts.authenticate(database, secrets, key.api_key)
    return Customer(database, caller, key.api_key, key.webhook_secret)
