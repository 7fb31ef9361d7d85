"""Stopping the other operations of a Gather when one of them fails."""

from __future__ import annotations

from collections.abc import Iterable


class Stopped(Exception):
    """Another operation of the same Gather failed, or the caller was interrupted."""


def raise_first(errors: Iterable[BaseException | None]) -> None:
    """Raise the first error that is not the stop of another operation, if there is one."""
    for error in errors:
        if error is not None and not isinstance(error, Stopped):
            raise error
