"""The table of installed models."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime


class InstalledModel(Base):
    """A model that a worker has, or had, and when one last announced it."""

    __tablename__ = "installed_models"

    name: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcTime)
