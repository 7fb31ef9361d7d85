"""Recording in the audit log. Nothing here commits: an entry is part of its action's transaction.

An actor is a string: the id of a person (``usr_...``) or of an API key (``key_...``), ``cli:NAME``
for the operator's command run by that system user, or one of the constants below.
"""

from __future__ import annotations

import getpass
from enum import StrEnum

from sqlalchemy.orm import Session

from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.kit import ids, times

SERVICE, PAYMENT_PROVIDER, ANONYMOUS = "service", "payment provider", "anonymous"  # actors
CLI = "cli:"
LONGEST_DETAIL = 500  # characters


class Action(StrEnum):
    """An action that the log records."""

    ACCOUNT_CREATED = "account.created"
    ACCOUNT_SUSPENDED = "account.suspended"
    ACCOUNT_RESUMED = "account.resumed"
    ACCOUNT_DELETION_STARTED = "account.deletion_started"
    ACCOUNT_DELETED = "account.deleted"
    ACCOUNT_EXPORTED = "account.exported"
    ACCOUNT_LIMITS_CHANGED = "account.limits_changed"
    SIGNED_IN = "person.signed_in"
    SIGN_IN_FAILED = "person.sign_in_failed"
    SIGNED_OUT = "person.signed_out"
    SESSIONS_REVOKED = "person.sessions_revoked"
    PASSWORD_CHANGED = "person.password_changed"
    PASSWORD_LINK_CREATED = "person.password_link_created"
    PERSON_INVITED = "person.invited"
    PERSON_JOINED = "person.joined"
    PERSON_REMOVED = "person.removed"
    LINK_REVOKED = "person.link_revoked"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    SECRET_ROTATED = "key.webhook_secret_rotated"
    CREDITS_GRANTED = "credits.granted"
    CREDITS_WITHDRAWN = "credits.withdrawn"
    PURCHASE_STARTED = "purchase.started"
    PURCHASE_PAID = "purchase.paid"
    PURCHASE_RETURNED = "purchase.returned"
    PURCHASE_REINSTATED = "purchase.reinstated"
    UPLOAD_DELETED = "upload.deleted"
    SPLIT_CANCELED = "split.canceled"
    SPLIT_DELETED = "split.deleted"
    SPLIT_KEPT = "split.kept"
    SPLIT_RENAMED = "split.renamed"
    SPLIT_RETRIED = "split.retried"
    SHARE_CREATED = "share.created"
    SHARE_REVOKED = "share.revoked"
    WEBHOOK_TESTED = "webhook.test_sent"
    WEBHOOK_REPLAYED = "webhook.replayed"
    EVENT_REDELIVERED = "webhook.event_redelivered"
    ENDPOINT_CREATED = "webhook.endpoint_created"
    ENDPOINT_CHANGED = "webhook.endpoint_changed"
    ENDPOINT_DELETED = "webhook.endpoint_deleted"
    ENDPOINT_SECRET_ROTATED = "webhook.endpoint_secret_rotated"
    RECEIVER_ENABLED = "webhook.receiver_enabled"


def record(
    session: Session,
    account_id: str | None,
    actor: str,
    action: Action,
    target: str | None = None,
    **details: str | int | bool | None,
) -> None:
    """Add an entry.

    Args:
        account_id: The account that the action affects, whichever the actor's is.
        target: The id of what was changed.
        details: Further facts, never a secret. Those that are None are left out.
    """
    now = times.now()
    facts = {name: _short(value) for name, value in details.items() if value is not None}
    entry = AuditEntry(
        id=ids.new("aud"),
        created_at=now,
        account_id=account_id,
        actor=actor,
        action=action.value,
        target=target,
        details=facts,
    )
    session.add(entry)


def command_line() -> str:
    """Return the actor of the operator's command."""
    try:
        return f"{CLI}{getpass.getuser()}"
    except (OSError, KeyError):  # a container may run as a user without a name
        return f"{CLI}unknown"


def _short(value: str | int | bool) -> str | int | bool:
    return value[:LONGEST_DETAIL] if isinstance(value, str) else value
