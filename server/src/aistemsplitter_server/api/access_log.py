"""uvicorn's access log without query strings: the signature of a presigned URL is in there."""

from __future__ import annotations

import logging


class WithoutQuery(logging.Filter):
    """Cuts the query off the path, the third of uvicorn's arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        if isinstance(record.args, tuple) and len(record.args) > 2:
            head, path, rest = record.args[:2], str(record.args[2]), record.args[3:]
            record.args = (*head, path.partition("?")[0], *rest)
        return True


_without_query = WithoutQuery()


def install() -> None:
    """Filter it, in this process; again changes nothing."""
    logging.getLogger("uvicorn.access").addFilter(_without_query)
