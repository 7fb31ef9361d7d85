"""The files in ``deploy/`` cannot run here; they are linted, and the names in them are checked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml

from aistemsplitter_server.cli import supervisor
from aistemsplitter_server.http.serving import DRAIN_SECONDS
from aistemsplitter_server.kit import settings
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.worker.process import DRAINED_AFTER
from command_line import run

FOLDER = Path(__file__).parents[2] / "deploy"
UNIT = FOLDER / "aistemsplitter-server.service"
TOOLS = Path(sys.executable).parent
MOST_EXPOSED = 2.0  # of 10, in systemd's exposure score
YAML_RULES = "{extends: default, rules: {line-length: {max: 130}, document-start: disable}}"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here"
)


def passes(*command: str | Path) -> None:
    """Run a linter, which must print nothing."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def services() -> dict[str, Any]:
    """Return our services in the compose file."""
    described = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    return {name: described[name] for name in ("migrate", "api", "worker")}


def test_dockerfile() -> None:
    passes(TOOLS / "hadolint", FOLDER / "Dockerfile")


def test_compose() -> None:
    passes(TOOLS / "yamllint", "--strict", "-d", YAML_RULES, FOLDER / "compose.yaml")
    schema = ("--builtin-schema", "vendor.compose-spec")
    passes(TOOLS / "check-jsonschema", *schema, FOLDER / "compose.yaml")


def test_alert_rules() -> None:
    passes(TOOLS / "yamllint", "--strict", "-d", YAML_RULES, FOLDER / "alerts.yaml")


def test_a_stop_leaves_time_to_drain() -> None:
    for name in ("api", "worker"):
        grace = services()[name]["stop_grace_period"]
        assert int(grace.removesuffix("s")) > max(DRAIN_SECONDS, DRAINED_AFTER)
    stop = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > supervisor.DRAIN


def test_the_unit_survives_an_engine_that_is_killed_for_lack_of_memory() -> None:
    assert "\nOOMPolicy=continue\n" in UNIT.read_text()


def test_the_constraints_pin_all_that_is_installed() -> None:
    """``make lock`` writes them."""
    lines = (FOLDER / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0] for line in lines if not line.startswith("#")}
    path = FOLDER.parents[1] / "scripts" / "lock.py"
    spec = spec_from_file_location("lock", path)
    assert spec is not None
    assert spec.loader is not None
    lock = module_from_spec(spec)
    spec.loader.exec_module(lock)
    assert pinned >= lock.needed()


@needs_systemd
def test_unit(tmp_path: Path) -> None:
    command = next(line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart="))
    program = command.removeprefix("ExecStart=").split()[0]
    copy = tmp_path / UNIT.name
    installed = UNIT.read_text().replace(program, sys.executable)
    copy.write_text(installed)
    passes("systemd-analyze", "verify", copy)
    listening = tmp_path / UNIT.with_suffix(".socket").name
    listening.write_text(UNIT.with_suffix(".socket").read_text())
    passes("systemd-analyze", "verify", listening)
    threshold = f"--threshold={round(MOST_EXPOSED * 10)}"
    passes("systemd-analyze", "security", "--offline=true", threshold, copy)


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
def test_commands_in_the_compose_file_exist(name: str, tmp_path: Path) -> None:
    assert run(tmp_path, *services()[name]["command"], "--help").returncode == 0


def test_commands_in_the_other_files_exist(tmp_path: Path) -> None:
    options = re.search(r"^ExecStart=\S+ --env-file \S+ (.*)$", UNIT.read_text(), re.MULTILINE)
    assert options is not None
    assert run(tmp_path, *options[1].split(), "--help").returncode == 0
    image = (FOLDER / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["aistemsplitter-server"]\nCMD ["up"]' in image


def test_settings_in_the_files_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "${POSTGRES_PASSWORD:?is missing}": "hunter2",
        "${AISTEMSPLITTER_SECRET:?is missing}": b64encode(os.urandom(32)).decode(),
        "${PUBLIC_URL:-http://localhost:8000}": "http://localhost:8000",
    }
    for line in (FOLDER / "server.env").read_text().splitlines():
        if line.lstrip("#").startswith(PREFIX):
            name = line.lstrip("#").partition("=")[0]
            assert name.removeprefix(PREFIX).lower() in Settings.model_fields
    image = re.findall(rf"({PREFIX}\w+)=(\S+)", (FOLDER / "Dockerfile").read_text())
    environment = dict(image)
    for service in services().values():
        environment |= service["environment"]
    environment = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
    for name, text in environment.items():
        for variable, value in values.items():
            text = text.replace(variable, value)
        assert "$" not in text
        assert name.removeprefix(PREFIX).lower() in Settings.model_fields
        monkeypatch.setenv(name, text)
    made = settings.load()
    assert made.database == "postgresql://aistemsplitter:hunter2@database/aistemsplitter"
    assert (made.data, made.host) == (Path("/data"), "0.0.0.0")
