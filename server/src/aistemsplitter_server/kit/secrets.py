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

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from aistemsplitter_server.kit.setting_types import SECRET_LENGTH as LENGTH
from aistemsplitter_server.kit.settings import Settings

FILE_NAME = "secret"
PREVIOUS = "secret.previous"  # after a rotation, until it is forgotten
FINGERPRINT = 32  # hexadecimal digits
NONCE = 12  # bytes, the nonce size of AES-GCM


class UnusableSecret(Exception):
    """The secret's file cannot be used; the text says why and what to do."""


class _Keys:
    """The keys derived from one secret."""

    def __init__(self, root: bytes) -> None:
        self.pepper = _derive(root, b"api-key-pepper")
        self.signer = _derive(root, b"signed-urls")
        self.cipher = AESGCM(_derive(root, b"encryption-at-rest"))
        self.fingerprint = _derive(root, b"fingerprint").hex()[:FINGERPRINT]

    def digest(self, value: str) -> bytes:
        return hmac.new(self.pepper, value.encode(), sha256).digest()

    def sign(self, purpose: str, *fields: str) -> str:
        # unambiguous, whatever the fields contain
        message = json.dumps([purpose, *fields]).encode()
        return urlsafe_b64encode(hmac.digest(self.signer, message, sha256)).rstrip(b"=").decode()

    def decrypt(self, sealed: bytes, owner: str) -> str:
        return self.cipher.decrypt(sealed[:NONCE], sealed[NONCE:], owner.encode()).decode()


class Secrets:
    """Hashes with a pepper, signs URLs, and encrypts values that must be read again.

    Args:
        root: The server's secret.
        previous: The secret before it, while what was made with it is still accepted.

    Attributes:
        fingerprint: Identifies the secret and reveals nothing of it.
        previous_fingerprint: That of the previous secret; None without one.
    """

    def __init__(self, root: bytes, previous: bytes | None = None) -> None:
        self._keys = _Keys(root)
        self._previous = None if previous is None else _Keys(previous)
        self._all = [self._keys] if self._previous is None else [self._keys, self._previous]
        self.fingerprint = self._keys.fingerprint
        self.previous_fingerprint = self._previous and self._previous.fingerprint

    def digest(self, value: str) -> bytes:
        """Return the HMAC-SHA256 of a value with the pepper, 32 bytes."""
        return self._keys.digest(value)

    def digests(self, value: str) -> list[bytes]:
        """Return the accepted digests: with the current secret, then with the previous one."""
        return [keys.digest(value) for keys in self._all]

    def sign(self, purpose: str, *fields: str) -> str:
        """Return a signature for URLs, 43 characters. Those of different purposes never match."""
        return self._keys.sign(purpose, *fields)

    def signatures(self, purpose: str, *fields: str) -> list[str]:
        """Return the signatures that are accepted, in the order of ``digests``."""
        return [keys.sign(purpose, *fields) for keys in self._all]

    def signed(self, signature: str, purpose: str, *fields: str) -> bool:
        """Return whether ``sign`` made this signature, in constant time."""
        given = signature.encode(errors="replace")
        return any(
            hmac.compare_digest(genuine.encode(), given)
            for genuine in self.signatures(purpose, *fields)
        )

    def encrypt(self, value: str, owner: str) -> bytes:
        """Return nonce and AES-GCM ciphertext, bound to the id of the row that they belong to."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._keys.cipher.encrypt(nonce, value.encode(), owner.encode())

    def decrypt(self, sealed: bytes, owner: str) -> str:
        """Return the value that ``encrypt`` was given.

        Raises:
            cryptography.exceptions.InvalidTag: It was changed, or belongs to another row or server.
        """
        if self._previous is not None and not self.is_current(sealed, owner):
            return self._previous.decrypt(sealed, owner)
        return self._keys.decrypt(sealed, owner)

    def is_current(self, sealed: bytes, owner: str) -> bool:
        """Return whether the current secret encrypted a value."""
        try:
            self._keys.decrypt(sealed, owner)
        except InvalidTag:
            return False
        return True


def of(settings: Settings) -> Secrets:
    """Return the secret of the settings, or of the data folder, created if missing.

    Raises:
        UnusableSecret: See ``load``.
    """
    if settings.secret is not None:
        previous = settings.previous_secret
        return Secrets(_decoded(settings.secret), None if previous is None else _decoded(previous))
    return load(settings.data)


def exists(settings: Settings) -> bool:
    """Return whether there is a secret, in the settings or in the data folder."""
    return settings.secret is not None or (settings.data / FILE_NAME).exists()


def load(data: Path) -> Secrets:
    """Return the secret of the data folder, created if missing. Safe for several processes.

    Raises:
        UnusableSecret: Other users can read it, or it is truncated.
    """
    path, previous = data / FILE_NAME, data / PREVIOUS
    if not path.exists():
        _create(path)
    return Secrets(_read(path), _read(previous) if previous.exists() else None)


def rotate(data: Path) -> None:
    """Replace the secret of the data folder. The old one becomes the previous one.

    Raises:
        UnusableSecret: There is a previous one already, or the secret cannot be read.
    """
    path, previous = data / FILE_NAME, data / PREVIOUS
    if previous.exists():
        raise UnusableSecret(
            f"{previous} exists: a rotation has not ended. End it with"
            " aistemsplitter-server secret reencrypt and then secret forget"
        )
    _read(path)
    previous.hardlink_to(path)
    draft = _draft(path)
    draft.replace(path)


def forget_previous(data: Path) -> bool:
    """Delete the previous secret of the data folder; return whether there was one."""
    try:
        (data / PREVIOUS).unlink()
    except FileNotFoundError:
        return False
    return True


def _decoded(secret: SecretStr) -> bytes:
    return b64decode(secret.get_secret_value())


def _read(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnusableSecret(f"{path} can be read by others: chmod 600 {path}")
    root = path.read_bytes()
    if len(root) != LENGTH:
        raise UnusableSecret(f"{path} is damaged: restore it from a backup")
    return root


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        # A link appears complete and never replaces a file: the second process uses the first's
        # secret.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _draft(path: Path) -> Path:
    """Write a new secret to a file beside the path, and return that file."""
    draft = path.with_name(f".{FILE_NAME}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink()
        raise
    return draft


def _derive(root: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), LENGTH, salt=None, info=b"aistemsplitter-server/" + purpose).derive(root)
