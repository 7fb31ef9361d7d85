"""The types of settings that only some values suit. A wrong one is reported with the reason."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from aistemsplitter_server.kit import addresses

SECRET_LENGTH = 32  # bytes of the server's secret and of each key derived from it
ORIGIN = re.compile(
    r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?"
)
DISK = "disk"  # as an address of a storage: a folder in the data folder
# A bucket's name, and a prefix whose parts begin with a letter or a digit.
BUCKET = re.compile(
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9][A-Za-z0-9_.-]{0,127}){0,8}/?", re.ASCII
)


def listed(text: str) -> list[str]:
    """Return the parts of a text that commas separate."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _database_url(url: str) -> str:
    try:
        backend = make_url(url).get_backend_name()
    except ArgumentError:
        raise ValueError("is not a database URL") from None
    if backend not in ("sqlite", "postgresql"):
        raise ValueError("must begin with sqlite:// or postgresql://")
    if backend == "sqlite" and make_url(url).database in (None, "", ":memory:"):
        raise ValueError("must name a SQLite file; processes cannot share a database in memory")
    return url


def _bucket(address: str) -> str:
    if not BUCKET.fullmatch(address):
        raise ValueError("must be s3://bucket or s3://bucket/prefix")
    return address.rstrip("/")


def storage_address(address: str) -> str:
    """Return the address of a storage, without a slash at its end.

    Raises:
        ValueError: It is neither ``disk`` nor a bucket.
    """
    if address != DISK and not BUCKET.fullmatch(address):
        raise ValueError("must be disk, s3://bucket or s3://bucket/prefix")
    return address.rstrip("/")


def _endpoint(url: str) -> str:
    if not ORIGIN.fullmatch(url.rstrip("/")):
        raise ValueError("must be http:// or https:// and a host, such as https://s3.example")
    return url.rstrip("/")


def _server_secret(secret: SecretStr) -> SecretStr:
    try:
        length = len(b64decode(secret.get_secret_value(), validate=True))
    except (binascii.Error, ValueError):
        length = 0
    if length != SECRET_LENGTH:
        raise ValueError("must be 32 bytes in base64; openssl rand -base64 32 makes one")
    return secret


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and a host")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must be without user, query and fragment")
    if parts.path.strip("/"):
        raise ValueError("must be without a path: give the service a host name of its own")
    return url.rstrip("/")


def _bearer_token(token: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]{16,}", token.get_secret_value()):
        raise ValueError("must be 16 or more ASCII characters; openssl rand -hex 16 makes one")
    return token


def _origins(text: str) -> str:
    for origin in listed(text):
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is not an origin; write https://app.example or *")
    return text


def _packs(minutes: tuple[int, ...]) -> tuple[int, ...]:
    if any(size <= 0 for size in minutes):
        raise ValueError("every pack must be more than 0 minutes")
    return minutes


def _currency(currency: str) -> str:
    if not re.fullmatch("[A-Za-z]{3}", currency):
        raise ValueError("must be the three letters of a currency, such as usd or twd")
    return currency.lower()


def _stripe_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"(sk|rk)_\w+", key.get_secret_value(), re.ASCII):
        raise ValueError("must be a secret or a restricted key, sk_... or rk_...")
    return key


def _stripe_url(url: str) -> str:
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    )
    if not safe or not ORIGIN.fullmatch(url):
        raise ValueError("must be https:// and a host, because the key is sent there")
    return url


def _networks(text: str) -> str:
    try:
        addresses.networks(text)
    except ValueError as error:
        raise ValueError(f"{error}; write CIDRs such as 192.168.1.0/24") from None
    return text


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
Bucket = Annotated[str, AfterValidator(_bucket)]
StorageAddress = Annotated[str, AfterValidator(storage_address)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
ServerSecret = Annotated[SecretStr, AfterValidator(_server_secret)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
BearerToken = Annotated[SecretStr, AfterValidator(_bearer_token)]
Origins = Annotated[str, AfterValidator(_origins)]
Packs = Annotated[tuple[int, ...], AfterValidator(_packs)]
Currency = Annotated[str, AfterValidator(_currency)]
StripeKey = Annotated[SecretStr, AfterValidator(_stripe_key)]
StripeUrl = Annotated[str, AfterValidator(_stripe_url)]
Networks = Annotated[str, AfterValidator(_networks)]
