"""Ending the other operations of a Gather when one of them fails."""

from __future__ import annotations

from collections.abc import Iterable


class Stopped(Exception):
    """Another operation of the same Gather failed, or the caller gave up."""


def raise_first(errors: Iterable[BaseException | None]) -> None:
    """Raise the error that stopped the others, if any."""
    for error in errors:
        if error is not None and not isinstance(error, Stopped):
            raise error
