"""The unit tests of SDK and engine on each Python, with the newest and the lowest dependencies.

``make matrix`` runs all that this machine has the Python for, and ``make unit`` one:
``make unit PYTHON_VERSION=3.13``. The lowest versions are those that the packages' metadata allows.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
INSTALLED = {"sdk": "./sdk[mcp]", "engine": "./engine"}


@nox.session(python=PYTHONS)
@nox.parametrize("resolution", ["highest", "lowest-direct"])
@nox.parametrize("package", [*INSTALLED])
def unit(session: nox.Session, package: str, resolution: str) -> None:
    """Run a package's tests that use no process, browser, database or real network."""
    session.install("--resolution", resolution, INSTALLED[package])
    session.install("--group", "unit")  # on its own, so that the tools are not the lowest ones
    session.run("python", "-m", "pytest", "--fast", "-q", f"{package}/tests", *session.posargs)
