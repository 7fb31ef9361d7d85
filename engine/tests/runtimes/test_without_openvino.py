"""Machines for which OpenVINO has no wheels."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROGRAM = """
import sys
for name in {hidden}:
    sys.modules[name] = None  # as if it were not installed
import numpy
from aistemsplitter_engine import EngineError, Separator
try:
    with Separator("htdemucs_tiny", device={device!r}) as separator:
        result = separator.separate_array(numpy.ones((2, 9), "float32"), 44100, stems=["bass"])
        print(result.stems["bass"].shape)
except EngineError as error:
    print(error)
"""


def run(*hidden: str, device: str) -> str:
    """Return the output of a process that does not find these packages."""
    program = PROGRAM.format(hidden=hidden, device=device)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_pytorch_computes_on_the_cpu(device: str) -> None:
    assert run("openvino", device=device) == "(2, 9)\n"


def test_without_pytorch_the_error_names_the_extra() -> None:
    assert run("openvino", "torch", device="cpu") == (
        "device cpu needs OpenVINO or PyTorch: pip install 'aistemsplitter-engine[torch]'\n"
    )


@pytest.mark.parametrize(
    ("system", "machine", "required"),
    [
        ("linux", "x86_64", True),
        ("linux", "aarch64", True),
        ("linux", "armv7l", False),
        ("darwin", "arm64", True),
        ("darwin", "x86_64", False),
        ("win32", "AMD64", True),
        ("win32", "ARM64", False),
    ],
)
def test_it_is_required_only_where_it_has_wheels(system: str, machine: str, required: bool) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (openvino,) = (
        requirement
        for requirement in map(Requirement, project["dependencies"])
        if requirement.name == "openvino"
    )
    assert openvino.marker is not None
    environment = {"sys_platform": system, "platform_machine": machine}
    assert openvino.marker.evaluate(environment) is required
