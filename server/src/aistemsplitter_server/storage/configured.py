"""The storage that the settings ask for."""

from __future__ import annotations

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.local import LocalStorage

FOLDER = "storage"  # in the data folder


def configured(settings: Settings, secrets: Secrets, base_url: str | None = None) -> LocalStorage:
    """The storage, whose URLs begin with the base URL.

    Args:
        base_url: None where no request tells by what name this server is reached, such as in a
            worker: then it is the one of the settings.
    """
    return LocalStorage(settings.data / FOLDER, secrets, base_url or settings.base_url)
