"""The server's secret, and the keys derived from it.

It is a file in the data folder, or a setting where processes on several machines need the same one.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aistemsplitter_server.kit.settings import SECRET_LENGTH as LENGTH
from aistemsplitter_server.kit.settings import Settings

FILE_NAME = "secret"
NONCE = 12  # bytes, the nonce size of AES-GCM


class UnusableSecret(Exception):
    """The secret's file cannot be used; the text says why and what to do."""


class Secrets:
    """Hashes with a pepper, signs URLs, and encrypts values that must be read again."""

    def __init__(self, root: bytes) -> None:
        self._pepper = _derive(root, b"api-key-pepper")
        self._signer = _derive(root, b"signed-urls")
        self._cipher = AESGCM(_derive(root, b"encryption-at-rest"))

    def digest(self, value: str) -> bytes:
        """Return the HMAC-SHA256 of a value with the pepper, 32 bytes."""
        return hmac.new(self._pepper, value.encode(), sha256).digest()

    def sign(self, purpose: str, *fields: str) -> str:
        """Return a signature for URLs, 43 characters. Those of different purposes never match."""
        # unambiguous, whatever the fields contain
        message = json.dumps([purpose, *fields]).encode()
        return urlsafe_b64encode(hmac.digest(self._signer, message, sha256)).rstrip(b"=").decode()

    def signed(self, signature: str, purpose: str, *fields: str) -> bool:
        """Return whether ``sign`` made this signature, in constant time."""
        genuine = self.sign(purpose, *fields).encode()
        return hmac.compare_digest(genuine, signature.encode(errors="replace"))

    def encrypt(self, value: str, owner: str) -> bytes:
        """Return nonce and AES-GCM ciphertext, bound to the id of the row that they belong to."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher.encrypt(nonce, value.encode(), owner.encode())

    def decrypt(self, sealed: bytes, owner: str) -> str:
        """Return the value that ``encrypt`` was given.

        Raises:
            cryptography.exceptions.InvalidTag: It was changed, or belongs to another row or server.
        """
        return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], owner.encode()).decode()


def of(settings: Settings) -> Secrets:
    """Return the secret of the settings, or of the data folder, created if missing.

    Raises:
        UnusableSecret: See ``load``.
    """
    if settings.secret is not None:
        return Secrets(b64decode(settings.secret.get_secret_value()))
    return load(settings.data)


def load(data: Path) -> Secrets:
    """Return the secret of the data folder, created if missing. Safe for several processes.

    Raises:
        UnusableSecret: Other users can read it, or it is truncated.
    """
    path = data / FILE_NAME
    if not path.exists():
        _create(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnusableSecret(f"{path} can be read by others: chmod 600 {path}")
    root = path.read_bytes()
    if len(root) != LENGTH:
        raise UnusableSecret(f"{path} is damaged: restore it from a backup")
    return Secrets(root)


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{FILE_NAME}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
            file.flush()
            os.fsync(file.fileno())
        # A link appears complete and never replaces a file: the second process uses the first's
        # secret.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _derive(root: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), LENGTH, salt=None, info=b"aistemsplitter-server/" + purpose).derive(root)
