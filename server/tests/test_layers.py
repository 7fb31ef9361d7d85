"""The map of the server in CONTRIBUTING, compared with the contracts that ``make check`` runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)(?:/|\.py)` \|", re.MULTILINE)


def layers() -> list[str]:
    """Return the server's modules and packages in the contract's order, the top layer first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    found = next(each for each in contracts if each["name"] == "Server: layers")
    assert found["exhaustive"]  # so that each package is in it
    return [name.strip() for layer in found["layers"] for name in layer.split("|")]


def test_the_map_in_contributing_shows_the_contracts_layers() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    server = text[text.index("`server/src/aistemsplitter_server/`") :]
    assert ROW.findall(server) == layers()
