"""Wrapper of API keys and signing secrets that keeps them out of reprs, logs and pickles."""

from __future__ import annotations

from typing import NoReturn

from aistemsplitter._errors import NotPicklable


class Secret:
    """An API key or signing secret. ``repr`` and ``str`` hide it, and it cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret as a string."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise NotPicklable("secrets cannot be pickled or copied")
