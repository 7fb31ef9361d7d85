"""The table that says which versions work with the schema."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base


class Compatibility(Base):
    """The oldest version that works with this schema, as the revision that it was made for."""

    __tablename__ = "schema_compatibility"

    id: Mapped[int] = mapped_column(primary_key=True)  # 1: there is one row
    works_from: Mapped[str]
