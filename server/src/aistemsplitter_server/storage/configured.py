"""The storage that the settings choose."""

from __future__ import annotations

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.storage.local import LocalStorage


def configured(settings: Settings, secrets: Secrets) -> Storage:
    """Return the storage. Its URLs begin with the settings' base."""
    return LocalStorage(settings.data, secrets, settings.base_url)
