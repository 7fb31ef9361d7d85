"""Signing deliveries: our own header, and those of the Standard Webhooks specification.

Own code: the library ``standardwebhooks`` 1.1 makes one of the four headers, from text instead of
bytes, and would save three lines.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256

PREFIX = "whsec_"


def headers(secrets: Sequence[str], event_id: str, moment: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a delivery, with each secret, so that receivers can rotate.

    Args:
        secrets: The secrets in use, ``whsec_...``.
        moment: Seconds since the epoch.
        body: The bytes that are sent.
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
