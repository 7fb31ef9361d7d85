"""The storage that the settings choose."""

from __future__ import annotations

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.local import LocalStorage

FOLDER = "storage"  # in the data folder


def configured(settings: Settings, secrets: Secrets, base_url: str | None = None) -> LocalStorage:
    """Return the storage.

    Args:
        base_url: What its URLs begin with; None where there is no request to tell, as in a worker:
            then the settings' URL.
    """
    return LocalStorage(settings.data / FOLDER, secrets, base_url or settings.base_url)
