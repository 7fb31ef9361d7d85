"""Installing the official models' weights in the background, for new installations."""

from __future__ import annotations

import logging
import threading

from aistemsplitter_server.models.catalogue import MODELS, TINY

logger = logging.getLogger(__name__)

PAUSES = (60, 300, 1800, 7200)  # seconds after a failure; the last one repeats


def fetch_in_background(stop: threading.Event, downloading: threading.Event) -> None:
    """Install each missing model, in a thread, until all are installed.

    Args:
        downloading: Is set during the downloads.
    """
    thread = threading.Thread(target=_fetch, args=(stop, downloading), name="weights", daemon=True)
    thread.start()


def missing() -> list[str]:
    """Return the official models that are not installed."""
    from aistemsplitter_engine.weights.store import is_installed

    names = [model.name for model in MODELS if model is not TINY]
    return [name for name in names if not is_installed(name)]


def _fetch(stop: threading.Event, downloading: threading.Event) -> None:
    failures = 0
    while names := missing():
        downloading.set()
        try:
            there = [_installed(name) for name in names]  # one that fails does not stop the others
        finally:
            downloading.clear()
        if all(there):
            return
        pause = PAUSES[min(failures, len(PAUSES) - 1)]
        failures += 1
        logger.info("retrying missing models in %d min", pause // 60)
        if stop.wait(pause):
            return


def _installed(name: str) -> bool:
    from aistemsplitter_engine import EngineError
    from aistemsplitter_engine.weights.catalogue import MODELS as SPECS
    from aistemsplitter_engine.weights.download import install_file

    logger.info("downloading the weights of %s", name)
    try:
        for file in SPECS[name].files:
            install_file(file, SPECS[name])
    except (EngineError, OSError) as error:
        logger.warning("%s could not be downloaded: %s", name, error)
        return False
    logger.info("%s is installed", name)
    return True
