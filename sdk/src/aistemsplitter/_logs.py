"""The logger ``aistemsplitter``, and an optional handler that writes to standard error.

``AISTEMSPLITTER_LOG=info`` or ``debug`` adds the handler. Programs that configure logging
themselves leave the variable unset and set the logger's level.
"""

from __future__ import annotations

import logging
import os

logger = logging.getLogger("aistemsplitter")

VARIABLE = "AISTEMSPLITTER_LOG"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}
FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"


class _EnvironmentHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """The handler added by ``AISTEMSPLITTER_LOG``; a class of its own, to be found again."""


def set_up() -> None:
    """Add the handler if ``AISTEMSPLITTER_LOG`` is set."""
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
