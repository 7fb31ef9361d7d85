"""Webhook secrets: those of API keys and of webhook endpoints."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime, timedelta
from secrets import token_bytes

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import queries
from aistemsplitter_server.accounts.queries import SignerRow
from aistemsplitter_server.accounts.tables import Signer
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.secrets import Secrets

LENGTH = 32  # bytes; Standard Webhooks asks for 24 to 64
ROTATION = timedelta(hours=24)  # in which the previous secret signs too


def new() -> str:
    """Return a new secret, ``whsec_...``."""
    return "whsec_" + b64encode(token_bytes(LENGTH)).decode()


def active(secrets: Secrets, signer: Signer) -> list[str]:
    """Return the secrets that sign deliveries: two for a day after a rotation."""
    sealed = [signer.sealed_webhook_secret]
    until = signer.previous_secret_until
    if signer.sealed_previous_secret is not None and until is not None and times.now() < until:
        sealed.append(signer.sealed_previous_secret)
    return [secrets.decrypt(each, owner=signer.id) for each in sealed]


def replace(secrets: Secrets, signer: Signer) -> str:
    """Replace a secret and return the new one. The old one also signs for a day."""
    secret = new()
    signer.sealed_previous_secret = signer.sealed_webhook_secret
    signer.previous_secret_until = times.now() + ROTATION
    signer.sealed_webhook_secret = secrets.encrypt(secret, owner=signer.id)
    return secret


def erase_old(table: type[SignerRow], session: Session, now: datetime, limit: int) -> int:
    """Erase secrets of a table's rows that were replaced over a day ago; return how many."""
    found = queries.with_old_secret(session, table, now, limit)
    for row in found:
        row.sealed_previous_secret = row.previous_secret_until = None
    return len(found)
