"""Keys and signing secrets, wrapped so that no repr or pickle shows them."""

from __future__ import annotations

from typing import NoReturn

from aistemsplitter._errors import NotPicklable


class Secret:
    """A key or a signing secret. Its repr and str hide it, and it does not pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise NotPicklable("secrets cannot be pickled or copied")
