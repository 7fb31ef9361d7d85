"""The table of fingerprints."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime

SECRET, STORAGE = "secret", "storage"


class Fingerprint(Base):
    """What identifies the secret or the storage that belongs to this database."""

    __tablename__ = "fingerprints"

    name: Mapped[str] = mapped_column(primary_key=True)  # ``secret`` or ``storage``
    value: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(UtcTime)
