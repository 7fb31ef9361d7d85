"""Rotating the server's secret.

What the old secret has encrypted is encrypted again. Of keys, sign-ins and links only an HMAC is
stored. An API key gets a new one when it is next used; the others work until they expire or the
old secret is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidTag
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from aistemsplitter_server.accounts.tables import ApiKey, Link, Signer, SignIn
from aistemsplitter_server.installation.tables import SECRET, Fingerprint
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits.tables import Share
from aistemsplitter_server.webhooks.tables import Endpoint

AT_ONCE = 500  # rows in one transaction
SIGNERS: Sequence[type[Signer]] = (ApiKey, Endpoint)


@dataclass(frozen=True, slots=True)
class Remaining:
    """Keys, sign-ins and links that only the previous secret verifies.

    Attributes:
        keys: API keys that have not been used since the rotation.
        sign_ins: Sign-ins from before the rotation.
        links: Unused invitations and password links from before it.
        shares: Share links from before it.
        last_expiry: When the last of the sign-ins, links and shares expires.
    """

    keys: Sequence[ApiKey]
    sign_ins: int
    links: int
    shares: int
    last_expiry: datetime | None


@dataclass(slots=True)
class Reencryption:
    """The result of encrypting the webhook secrets again.

    Attributes:
        converted: Number of values that are now encrypted with the current secret.
        lost: Ids of keys and webhook endpoints with a value that neither secret decrypts.
    """

    converted: int = 0
    lost: list[str] = field(default_factory=list)


def reencrypt(database: Database, secrets: Secrets) -> Reencryption:
    """Encrypt all webhook secrets with the current secret, a few in each transaction."""
    result = Reencryption()
    for table in SIGNERS:
        last: str | None = ""
        while last is not None:
            with database.write() as session:
                last = _reencrypt_some(session, secrets, table, last, result)
    return result


def _reencrypt_some(
    session: Session, secrets: Secrets, table: type[Signer], after: str, result: Reencryption
) -> str | None:
    """Convert the rows after an id; return the id of the last one, None at the end."""
    query = select(table).where(table.id > after).order_by(table.id).limit(AT_ONCE)
    signers = session.scalars(query.with_for_update()).all()
    for signer in signers:
        for name in ("sealed_webhook_secret", "sealed_previous_secret"):
            sealed = getattr(signer, name)
            if sealed is None or secrets.is_current(sealed, signer.id):
                continue
            try:
                value = secrets.decrypt(sealed, signer.id)
            except InvalidTag:
                result.lost.append(signer.id)
                continue
            setattr(signer, name, secrets.encrypt(value, signer.id))
            result.converted += 1
    return signers[-1].id if signers else None


def remaining(session: Session, secrets: Secrets) -> Remaining:
    """Return what only the previous secret verifies."""
    now = times.now()
    rotated = session.get_one(Fingerprint, SECRET).recorded_at
    old_hash = or_(ApiKey.digest_secret.is_(None), ApiKey.digest_secret != secrets.fingerprint)
    in_time = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)
    keys = session.scalars(
        select(ApiKey).where(old_hash, ApiKey.revoked_at.is_(None), in_time).order_by(ApiKey.id)
    ).all()
    sign_ins = _count(session, SignIn.expires_at, SignIn.created_at < rotated)
    links = _count(session, Link.expires_at, Link.created_at < rotated, Link.used_at.is_(None))
    shares = _count(
        session, Share.expires_at, Share.created_at < rotated, Share.revoked_at.is_(None)
    )
    expiries = [expiry for _, expiry in (sign_ins, links, shares) if expiry is not None]
    return Remaining(keys, sign_ins[0], links[0], shares[0], max(expiries, default=None))


def _count(
    session: Session, expires_at: InstrumentedAttribute[datetime], *conditions: ColumnElement[bool]
) -> tuple[int, datetime | None]:
    query = select(func.count(), func.max(expires_at)).where(expires_at > times.now(), *conditions)
    number, last = session.execute(query).one()
    return number, last
