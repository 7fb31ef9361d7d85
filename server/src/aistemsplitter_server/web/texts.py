"""The texts of the pages, by key and language: ``texts/<language>/<page>.toml``.

``studio = "..."`` in the table ``[frame]`` is ``t("frame.studio")``. Values replace ``{name}``.
With the value ``n``, a table of ``one`` and ``other`` chooses the text by it.

Own code: Babel 2.19 was tried. Catalogues in ``.po`` need a build step or take 29 ms to read (TOML
takes 5), the package is 36 MB large, and only twelve texts have a plural.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

DEFAULT = "en"
LANGUAGES = {"en": "English", "zh-TW": "繁體中文"}
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)(?:;q=([01](?:\.\d{0,3})?))?")


class Texts:
    """The texts of one language."""

    def __init__(self, language: str, messages: Mapping[str, str]) -> None:
        self.language = language
        self._messages = messages

    def __call__(self, key: str, **values: Any) -> str:
        """Return the text of a key.

        Raises:
            KeyError: There is none. A test knows all keys that the pages use.
        """
        message = self._messages.get(key)
        if message is None:
            one = values.get("n") == 1 and f"{key}.one" in self._messages
            message = self._messages[f"{key}.{'one' if one else 'other'}"]
        return message.format_map(values) if values else message

    def __contains__(self, key: str) -> bool:
        return key in self._messages

    def under(self, prefix: str) -> dict[str, str]:
        """Return all texts whose keys begin with the prefix, for scripts."""
        return {
            key: message for key, message in self._messages.items() if key.startswith(prefix + ".")
        }


@cache
def of(language: str) -> Texts:
    """Return the texts of a language."""
    folder = resources.files(__package__).joinpath("texts", language)
    messages: dict[str, str] = {}
    for file in folder.iterdir():
        if file.name.endswith(".toml"):
            messages.update(_flat(tomllib.loads(file.read_text(encoding="utf-8"))))
    return Texts(language, messages)


def chosen(cookie: str | None, accept: str) -> str:
    """Return the language to show: the one chosen on the page, or the browser's preference."""
    if cookie in LANGUAGES:
        return cookie
    wishes = sorted(_wishes(accept), key=lambda wish: -wish[1])
    for tag, _ in wishes:
        if tag.partition("-")[0] == "zh":  # for all Chinese readers it is closer than English
            return "zh-TW"
        if tag.partition("-")[0] in (DEFAULT, "*"):
            return DEFAULT
    return DEFAULT


def _wishes(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept[:500].split(","):
        match = _RANGE.fullmatch(part.strip().replace(" ", ""))
        if match and (weight := float(match[2] or 1)) > 0:
            yield match[1].lower(), weight


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    messages: dict[str, str] = {}
    for name, value in table.items():
        messages.update(
            {prefix + name: value}
            if isinstance(value, str)
            else _flat(value, prefix=f"{prefix}{name}.")
        )
    return messages
