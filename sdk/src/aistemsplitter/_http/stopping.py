"""How one operation of a Gather that fails ends the others."""

from __future__ import annotations

from collections.abc import Iterable


class Stopped(Exception):
    """Another operation of the same Gather has failed, or nobody waits for this one any more."""


def raise_first(errors: Iterable[BaseException | None]) -> None:
    """Raise the error that stopped the others, if any."""
    for error in errors:
        if error is not None and not isinstance(error, Stopped):
            raise error
