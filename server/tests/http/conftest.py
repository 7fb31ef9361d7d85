from __future__ import annotations

import pytest
from fastapi import FastAPI

from probes import add_probes


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    """The application, with endpoints that only tests have."""
    return add_probes(app)
