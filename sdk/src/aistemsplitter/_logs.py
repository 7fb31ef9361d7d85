"""Logging: one logger named ``aistemsplitter``, and a handler for it on request.

``AISTEMSPLITTER_LOG=info`` or ``debug`` writes its records to standard error. Programs that
configure logging themselves leave the variable unset and set the logger's level.
"""

from __future__ import annotations

import logging
import os

logger = logging.getLogger("aistemsplitter")

VARIABLE = "AISTEMSPLITTER_LOG"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}
FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"


class _EnvironmentHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """The handler that the environment asked for; its class tells it from the user's own."""


def set_up() -> None:
    """Write the logger's records to standard error if the environment asks for it."""
    wanted = os.environ.get(VARIABLE, "").strip().lower()
    if not wanted:
        return
    if wanted not in LEVELS:
        logger.warning("%s=%s is ignored: set it to debug or info", VARIABLE, wanted)
        return
    logger.setLevel(LEVELS[wanted])
    if not any(isinstance(handler, _EnvironmentHandler) for handler in logger.handlers):
        handler = _EnvironmentHandler()
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
