"""All tables of the service, collected from the modules of that name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import aistemsplitter_server
from aistemsplitter_server.kit.database import Base

for _path in sorted(Path(aistemsplitter_server.__file__).parent.glob("*/tables.py")):
    import_module(f"aistemsplitter_server.{_path.parent.name}.tables")

metadata = Base.metadata
