"""Tests of the release process: release tags, and workflows that only call make targets."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BUILD = runpy.run_path(str(ROOT / "scripts" / "build.py"))


def test_tag_names_folder_and_version() -> None:
    assert BUILD["parse"]("sdk-v0.2.0") == ("sdk", "0.2.0")
    for wrong in ("v0.2.0", "docs-v1.0", "sdk-0.2.0", "sdk-v", "sdk-v1/../x"):
        with pytest.raises(SystemExit, match="not a release tag"):
            BUILD["parse"](wrong)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_only_calls_make_targets(workflow: Path) -> None:
    """So everything in a workflow can be run and tested on any machine."""
    makefile = (ROOT / "Makefile").read_text()
    described: dict[str, Any] = yaml.safe_load(workflow.read_text())
    commands = [
        step["run"] for job in described["jobs"].values() for step in job["steps"] if "run" in step
    ]
    assert commands
    for command in commands:
        assert (called := re.fullmatch(r'make (\w+)(?: TAG="\$GITHUB_REF_NAME")?', command)), (
            command
        )
        assert re.search(rf"^{called[1]}:", makefile, re.MULTILINE), command


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned(workflow: Path) -> None:
    for action in re.findall(r"uses: (\S+)", workflow.read_text()):
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action
