"""The headers that prove who sent a delivery, ours and those of the Standard Webhooks spec."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256

PREFIX = "whsec_"


def headers(secrets: Sequence[str], event_id: str, moment: int, body: bytes) -> dict[str, str]:
    """Signed with each secret, so that a receiver may know the old one or the new one.

    Args:
        secrets: those that are live, ``whsec_...``.
        moment: seconds since the epoch.
        body: as it is sent.
    """
    ours = [_hex(secret.encode(), f"{moment}.".encode() + body) for secret in secrets]
    standard = [
        _base64(b64decode(secret.removeprefix(PREFIX)), f"{event_id}.{moment}.".encode() + body)
        for secret in secrets
    ]
    return {
        "AIStemSplitter-Signature": ",".join((f"t={moment}", *(f"v1={sign}" for sign in ours))),
        "webhook-id": event_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": " ".join(f"v1,{sign}" for sign in standard),
    }


def _hex(key: bytes, message: bytes) -> str:
    return hmac.digest(key, message, sha256).hex()


def _base64(key: bytes, message: bytes) -> str:
    return b64encode(hmac.digest(key, message, sha256)).decode()
