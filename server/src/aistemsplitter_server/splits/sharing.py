"""The rules of share links, by which anyone can listen until they expire. Nothing here commits.

A link's token is the signature of its id, so that its creator can be shown it again.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.errors import Conflict, NotFound
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits import queries
from aistemsplitter_server.splits.tables import Share, Split

PURPOSE = "share"
GONE = "This link is not valid or has expired."


def share(session: Session, secrets: Secrets, split: Split, lifetime: timedelta | None) -> Share:
    """Create a share link of a split. It expires with the split's audio at the latest.

    Args:
        lifetime: How long the link works; None until the time at which the audio is now due to be
            deleted. Keeping the song afterwards does not extend it.

    Raises:
        Conflict: The split has no stems.
    """
    now = times.now()
    if split.expires_at is None or not split.can_be_heard(now):
        raise Conflict("This split has no stems to listen to.")
    share_id = ids.new("shr")
    row = Share(
        id=share_id,
        digest=secrets.digest(secrets.sign(PURPOSE, share_id)),
        account_id=split.account_id,
        split_id=split.id,
        created_at=now,
        expires_at=split.expires_at if lifetime is None else min(now + lifetime, split.expires_at),
    )
    session.add(row)
    session.flush()
    return row


def token(secrets: Secrets, row: Share) -> str:
    """Return the token at the end of a link's URL."""
    tokens = secrets.signatures(PURPOSE, row.id)
    # A link from before a rotation of the secret keeps its URL while the old one is accepted.
    return next((token for token in tokens if row.digest in secrets.digests(token)), tokens[0])


def shared(session: Session, secrets: Secrets, given: str) -> tuple[Share, Split]:
    """Return a share link and its split.

    Raises:
        NotFound: The link does not exist or has expired, the split is deleted, or its account is
            suspended.
    """
    row = queries.share(session, secrets.digests(given))
    if row is None or row.revoked_at is not None or row.expires_at <= times.now():
        raise NotFound(GONE)
    if not standing.is_active(session, row.account_id):
        raise NotFound(GONE)
    split = queries.of_account(session, row.account_id, row.split_id, is_test=None)
    if split is None or split.swept_at is not None:
        raise NotFound(GONE)
    return row, split


def revoke(session: Session, account_id: str, share_id: str) -> Share:
    """Revoke a share link. Revoking again changes nothing.

    Raises:
        NotFound: The account has no such link.
    """
    row = session.get(Share, share_id)
    if row is None or row.account_id != account_id:
        raise NotFound("There is no such link.")
    row.revoked_at = row.revoked_at or times.now()
    return row
