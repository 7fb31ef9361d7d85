"""The layer tables in CONTRIBUTING, compared with the import contracts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"\| `(\w+)(?:/|\.py)` \|")


def layers(name: str) -> list[str]:
    """Return the modules and packages of a contract in its order, the top layer first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    found = next(each for each in contracts if each["name"] == name)
    assert found["exhaustive"]  # so each module and package is listed
    return [module.strip() for layer in found["layers"] for module in layer.split("|")]


def table(folder: str) -> list[str]:
    """Return the modules and packages in the table that follows the folder's path."""
    _, _, text = (ROOT / "CONTRIBUTING.md").read_text().partition(f"`{folder}/`")
    lines = text[text.index("| --- |") :].splitlines()[1:]
    rows = [ROW.match(line) for line in lines[: lines.index("")]]
    return [row[1] for row in rows if row is not None]


@pytest.mark.parametrize(
    ("contract", "folder"),
    [
        ("Engine: layers", "engine/src/aistemsplitter_engine"),
        ("Server: layers", "server/src/aistemsplitter_server"),
    ],
)
def test_the_map_shows_the_contracts_layers(contract: str, folder: str) -> None:
    assert table(folder) == layers(contract)
