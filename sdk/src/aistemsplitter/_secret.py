"""What must not be seen: kept in a wrapper that shows itself to nobody who does not ask."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """A key or a signing secret. Its repr and str hide it, and it does not pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be written down")
