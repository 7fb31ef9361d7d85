"""Puts the wheel of the SDK into the server's package, which serves it under ``/sdk/``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilder

FOLDER = "aistemsplitter_server/sdk"


class SdkWheel(BuildHookInterface[Any]):
    """Builds it from the checkout; a source distribution already contains it."""

    folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the wheel and include it, except in an editable install."""
        if version == "editable":
            return
        root = Path(self.root)
        if any((root / "src" / FOLDER).glob("*.whl")):
            return
        source = root.parent / "sdk"
        if not (source / "pyproject.toml").is_file():
            raise FileNotFoundError(
                f"{source}: no SDK there. Build in a checkout of the repository."
            )
        self.folder = Path(tempfile.mkdtemp())
        (wheel,) = WheelBuilder(str(source)).build(
            directory=str(self.folder), versions=["standard"]
        )
        prefix = "src/" if self.target_name == "sdist" else ""
        build_data["force_include"][wheel] = f"{prefix}{FOLDER}/{Path(wheel).name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Delete the temporary files."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
