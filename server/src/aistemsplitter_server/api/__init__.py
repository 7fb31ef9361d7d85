"""The API: everything a request passes through. It knows nothing of the engine."""

from aistemsplitter_server.api.app import create_app

__all__ = ["create_app"]
