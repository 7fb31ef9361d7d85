"""Retries of failed splits: each is a new split of the same song, with a charge of its own.

The failed split stays as it is: its charge was refunded and its webhook was sent.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import scopes
from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.models import queries as models
from aistemsplitter_server.models.service import serving
from aistemsplitter_server.splits import queries, queueing, service
from aistemsplitter_server.splits.schemas import CreateSplit
from aistemsplitter_server.splits.tables import FAILED, Split
from aistemsplitter_server.uploads import queries as uploads
from aistemsplitter_server.uploads.tables import Upload


def retry_failed(session: Session, settings: Settings, split: Split) -> tuple[Split, bool]:
    """Create a split with what a failed one was asked for.

    If the split has a retry already that neither failed nor was deleted, that one is returned. So a
    form that is sent twice makes one split and one charge.

    Returns:
        The retry, and whether it is new.

    Raises:
        Conflict: The split has not failed, or its upload is deleted.
        InsufficientCredits: The balance does not cover it.
        LimitExceeded: The account has reached one of its limits.
        ModelUnavailable: No model can run.
    """
    # of two concurrent requests, the second finds the retry of the first
    queries.locked(session, split.id)
    standing = queries.retry_of(session, split.id)
    if standing is not None:
        return standing, False
    if split.status != FAILED:
        raise Conflict(f"The split is {split.status}; only failed splits can be retried.")
    source = _upload(session, split)
    request = _request(split)
    key = session.get(ApiKey, split.key_id)  # None where a person made the split on a page
    caller = Caller(
        split.account_id,
        split.key_id,
        split.is_test,
        frozenset(key.scopes if key else scopes.ALL),
        key.top_priority if key else "interactive",
    )
    made = service.create(
        session,
        caller,
        request,
        source=source,
        filename=split.filename,
        serving=serving(
            request.model, models.installed(session), test=split.is_test, demo=settings.demo
        ),
        priority="batch" if split.turn >= queueing.BATCH else "interactive",
        allowed=limits_of(session, settings, split.account_id),
    )
    made.retry_of = split.id
    return made, True


def _upload(session: Session, split: Split) -> Upload | None:
    if split.upload_id is None:
        return None
    upload = uploads.usable(session, split.upload_id)
    if upload is None:
        raise Conflict("The upload of this split has been deleted.")
    return upload


def _request(split: Split) -> CreateSplit:
    source = (
        {"type": "uploaded_file", "uploadId": split.upload_id}
        if split.upload_id is not None
        else {"type": "direct_url", "url": split.input_url}
    )
    return CreateSplit.model_validate(
        {
            "input": source,
            "stemModel": split.stem_model,
            "outputFormat": split.output_format,
            "stems": split.stems,
            "webhookUrl": split.webhook_url,
            "output": split.output,
            "options": split.options,
            "metadata": split.split_metadata or None,
        }
    )
