"""Tables of accounts, their limits and API keys, and the people who sign in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime

# States of an account. A worker turns DELETING into DELETED, which is final.
ACTIVE, SUSPENDED, DELETING, DELETED = "active", "suspended", "deleting", "deleted"


class Account(Base):
    """The owner of keys, credits and splits. At most one account is the operator's own."""

    __tablename__ = "accounts"
    __table_args__ = (
        Index(
            "uq_accounts_owner",
            "is_owner",
            unique=True,
            sqlite_where=text("is_owner"),
            postgresql_where=text("is_owner"),
        ),
        Index(
            "ix_accounts_state",
            "state",
            sqlite_where=text("state != 'active'"),
            postgresql_where=text("state != 'active'"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    is_owner: Mapped[bool]
    state: Mapped[str] = mapped_column(server_default=ACTIVE, default=ACTIVE)
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class AccountLimit(Base):
    """A limit of one account that overrides the setting; see ``limits.py``."""

    __tablename__ = "account_limits"

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class Signer:
    """Columns of a table whose rows have a webhook secret, encrypted for their ids."""

    id: Mapped[str] = mapped_column(primary_key=True)
    sealed_webhook_secret: Mapped[bytes]
    # The previous one, which also signs for a day after a rotation.
    sealed_previous_secret: Mapped[bytes | None]
    previous_secret_until: Mapped[datetime | None] = mapped_column(UtcTime)


class ApiKey(Signer, Base):
    """An API key. Of the key itself only an HMAC is stored, and its webhook secret is encrypted."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index(
            "ix_api_keys_in_use",
            "account_id",
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
        Index(
            "ix_api_keys_previous_secret_until",
            "previous_secret_until",
            sqlite_where=text("previous_secret_until IS NOT NULL"),
            postgresql_where=text("previous_secret_until IS NOT NULL"),
        ),
    )

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str]
    is_test: Mapped[bool]
    digest: Mapped[bytes]
    digest_secret: Mapped[str | None]  # fingerprint of the secret that made it; None if unknown
    # Of the key that this one replaced, which authenticates for a while.
    previous_digest: Mapped[bytes | None]
    previous_digest_until: Mapped[datetime | None] = mapped_column(UtcTime)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    top_priority: Mapped[Literal["interactive", "batch"]] = mapped_column(
        String, server_default="interactive"
    )
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTime)

    def is_over(self, now: datetime) -> bool:
        """Return whether the key is revoked or expired."""
        return self.revoked_at is not None or (
            self.expires_at is not None and self.expires_at <= now
        )


class Person(Base):
    """A person who signs in with email address and password, and acts for one account."""

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    email: Mapped[str] = mapped_column(unique=True)  # in lower case
    password_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class SignIn(Base):
    """A browser where a person is signed in. Of the token in its cookie only an HMAC is stored."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    user_agent: Mapped[str]
    address: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    seen_at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcTime, index=True)


class Link(Base):
    """A one-time link: to join an account, or to choose a new password."""

    __tablename__ = "links"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    person_id: Mapped[str | None]  # who chooses a new password; None where someone new joins
    note: Mapped[str]  # whom it is meant for, shown to those who manage links
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcTime)
