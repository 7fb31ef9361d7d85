"""Changes to splits that users and the operator ask for, each recorded in the audit log.

The API, the pages and the command all use these.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import PurePath

from sqlalchemy.orm import Session

from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.kit import filenames, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict, ValidationFailed
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import deletion, retries, service
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Storage

logger = logging.getLogger(__name__)


def cancel(session: Session, split: Split, actor: str) -> None:
    """Cancel a split and refund its charge.

    Raises:
        Conflict: The split has ended already.
    """
    service.cancel(session, split)
    audit.record(session, split.account_id, actor, Action.SPLIT_CANCELED, split.id)


def retry(session: Session, settings: Settings, failed: Split, actor: str) -> tuple[Split, bool]:
    """Retry a failed split as a new one; see :func:`retries.retry_failed`."""
    split, is_new = retries.retry_failed(session, settings, failed)
    if is_new:
        audit.record(
            session, split.account_id, actor, Action.SPLIT_RETRIED, split.id, retry_of=failed.id
        )
    return split, is_new


def keep(session: Session, settings: Settings, split: Split, actor: str) -> None:
    """Put the deletion of a split's audio off until ``KEEP_DAYS`` from now.

    Raises:
        Conflict: The split has no audio, or songs cannot be kept on this server.
    """
    now = times.now()
    if not settings.keep_days:
        raise Conflict("Songs cannot be kept on this server.")
    if split.expires_at is None or not split.can_be_heard(now):
        raise Conflict("The audio of this split is deleted, or not made yet.")
    until = now + timedelta(days=settings.keep_days)
    if until > split.expires_at:
        split.expires_at = until
        service.touch(split)
    audit.record(session, split.account_id, actor, Action.SPLIT_KEPT, split.id)


def rename(session: Session, split: Split, title: str, actor: str) -> None:
    """Give a song another title, which its downloads are named after.

    Raises:
        ValidationFailed: Nothing of the title can be seen.
    """
    name = filenames.safe(title) if filenames.visible(title).strip(" .") else ""
    if not name:
        raise ValidationFailed([("title", "has no visible characters")])
    # The title is all before the extension, so one that has a dot needs an extension after it.
    split.filename = f"{name}{PurePath(split.filename).suffix or '.' + split.extension}"
    service.touch(split)
    audit.record(session, split.account_id, actor, Action.SPLIT_RENAMED, split.id)


def delete(
    database: Database,
    storage: Storage,
    account_id: str,
    split_id: str,
    actor: str,
    *,
    is_test: bool | None,
) -> bool:
    """Delete a split of the account and its audio; cancel it first if it has not ended.

    Args:
        is_test: The mode of the split; None for either.

    Returns:
        False if the audio could not be deleted now. A sweep deletes it later.

    Raises:
        NotFound: The account has no such split.
    """
    with database.write() as session:
        split = service.of_account(session, account_id, split_id, is_test=is_test, lock=True)
        deletion.delete(session, split)
        audit.record(session, account_id, actor, Action.SPLIT_DELETED, split_id)
    try:
        storage.delete_prefix(keys.split(split_id))
    except OSError as error:
        logger.error("the audio of %s cannot be deleted now: %s", split_id, error)
        return False
    return True
