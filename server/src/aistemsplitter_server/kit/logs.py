"""Logging: one line of JSON per event, or coloured text on a terminal.

Everything that goes through ``logging`` is formatted here, from the libraries too. Fields are given
as ``extra``, or bound for all following lines by ``structlog.contextvars``.
"""

from __future__ import annotations

import logging
import re
import sys
from contextvars import ContextVar
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

# We log no secrets. If a library's message quotes one all the same, it is masked.
SECRET = re.compile(
    r"(ast_(?:live|test)_|[sr]k_(?:live|test)_|whsec_|[?&][A-Za-z-]*(?:[Ss]ignature|token)=)[0-9A-Za-z+/=%_.~-]+"
)

CHATTY = ("alembic",)  # libraries whose lines below a warning say nothing

_collected: ContextVar[dict[str, str] | None] = ContextVar("collected", default=None)


def collecting() -> dict[str, str]:
    """Collect what :func:`add_fields` adds, in this task and the threads that it awaits."""
    collected: dict[str, str] = {}
    _collected.set(collected)
    return collected


def add_fields(**fields: str) -> None:
    """Add fields to the log line at the end of the current request."""
    collected = _collected.get()
    if collected is not None:
        collected.update(fields)


def request_id() -> str | None:
    """Return the id of the current request, if there is one."""
    found = structlog.contextvars.get_contextvars().get("request_id")
    return found if isinstance(found, str) else None


def configure(stream: TextIO | None = None, level: str = "info") -> None:
    """Configure logging of this process, on stderr. Call it once, at the start.

    Args:
        level: The lowest level that is logged: ``debug``, ``info``, ``warning`` or ``error``.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _plain]
    if stream.isatty():
        # structlog's other formatter shows variables, and with them secrets
        plain = structlog.dev.plain_traceback
        last.append(structlog.dev.ConsoleRenderer(exception_formatter=plain))
    else:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_WithoutSecrets(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def _plain(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's copy of the message
    return event


class _WithoutSecrets(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return SECRET.sub(r"\1[hidden]", super().format(record))
