from __future__ import annotations

import pytest
from fastapi import FastAPI

from probes import add_probes


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """The application with additional endpoints for tests."""
    return add_probes(app)
