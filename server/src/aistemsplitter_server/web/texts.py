"""The texts of the pages, by key and language, from the gettext catalogues in ``locale/``.

``locale/messages.pot`` has each text in English, with its key as context, so ``t("studio.title")``
keeps working when the English changes. Values replace ``{name}``; where a text has a plural, the
language's rule chooses its form by the value ``n``. A text without a checked translation is shown
in English.

Babel reads the ``.po`` files themselves, when a process first shows a language. That takes 10 to
20 ms; compiled ``.mo`` files would take 1, but need a build step, and an editable install that was
not compiled after the last change would show old texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property, lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

from babel import Locale
from babel.messages.catalog import Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

DEFAULT = "en"
LANGUAGES = {"en": "English", "zh-TW": "繁體中文"}
# By the main language: for all Chinese readers zh-TW is closer than English.
_BY_LANGUAGE = {tag.partition("-")[0]: tag for tag in LANGUAGES}
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)(?:;q=([01](?:\.\d{0,3})?))?")
_COUNTS = (1_000_000, *range(200, -1, -1))  # contain each plural category of each language

Source = str | tuple[str, str]  # a text in English; if it has a plural, the text for one and many


class Texts:
    """The texts and number formats of one language.

    Args:
        sources: The English texts, by key.
        translations: Their translations, with the keys as contexts.
    """

    def __init__(
        self, language: str, sources: Mapping[str, Source], translations: NullTranslations
    ) -> None:
        self.language = language
        self._translations = translations
        self._messages = {
            key: translations.pgettext(key, source)
            for key, source in sources.items()
            if isinstance(source, str)
        }
        self._plurals = {
            key: source for key, source in sources.items() if not isinstance(source, str)
        }

    def __call__(self, key: str, **values: Any) -> str:
        """Return the text of a key.

        Raises:
            KeyError: There is no such text. A test compares the keys that the pages use.
        """
        message = self._messages.get(key)
        if message is None:
            message = self._translations.npgettext(key, *self._plurals[key], values["n"])
        return message.format_map(values) if values else message

    def __contains__(self, key: str) -> bool:
        return key in self._messages or key in self._plurals

    def number(self, value: float, decimals: int | None = None) -> str:
        """Return a number as the language writes it: ``1,234.5``.

        Args:
            decimals: How many decimals to write; by default as many as needed, three at most.
        """
        return _number(value, decimals, self.language)

    def percent(self, share: float) -> str:
        """Return a share as the language writes it: ``35%`` for 0.35."""
        return format_percent(share, locale=_locale(self.language))

    def under(self, prefix: str) -> dict[str, str | dict[str, str]]:
        """Return all texts whose keys begin with the prefix, for scripts.

        A text with a plural is an object of its forms by ``Intl.PluralRules``' category.
        """
        return {
            key: message
            for key, message in self._for_scripts.items()
            if key.startswith(prefix + ".")
        }

    @cached_property
    def _for_scripts(self) -> dict[str, str | dict[str, str]]:
        plural = _locale(self.language).plural_form
        counts = {plural(n): n for n in _COUNTS}
        forms = {
            key: {
                category: self._translations.npgettext(key, *source, n)
                for category, n in counts.items()
            }
            for key, source in self._plurals.items()
        }
        return {**self._messages, **forms}


@lru_cache(maxsize=4096)  # a number takes 5 µs, and the operator's page has over a hundred
def _number(value: float, decimals: int | None, language: str) -> str:
    pattern = None if decimals is None else "#,##0." + "0" * decimals
    return format_decimal(value, format=pattern, locale=_locale(language))


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language, sep="-")


@cache
def of(language: str) -> Texts:
    """Return the texts of a language."""
    return read(language, Path(__file__).parent / "locale")


def read(language: str, folder: Path) -> Texts:
    """Read the texts of a language from a folder of catalogues."""
    return Texts(language, _sources(folder), _translations(language, folder))


@cache  # all languages have the same
def _sources(folder: Path) -> dict[str, Source]:
    with (folder / "messages.pot").open("rb") as file:
        return {message.context: _source(message) for message in read_po(file) if message.context}


def _source(message: Message) -> Source:
    return message.id if isinstance(message.id, str) else (message.id[0], message.id[1])


def _translations(language: str, folder: Path) -> NullTranslations:
    if language == DEFAULT:
        return NullTranslations()
    path = folder / language.replace("-", "_") / "LC_MESSAGES" / "messages.po"
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file))
    compiled.seek(0)
    return GNUTranslations(compiled)


def chosen(cookie: str | None, accept: str) -> str:
    """Return the language to show: the one chosen on the page, or the browser's preference."""
    if cookie in LANGUAGES:
        return cookie
    for tag, _ in sorted(_preferences(accept), key=lambda preference: -preference[1]):
        language = tag.partition("-")[0]
        if language in _BY_LANGUAGE:
            return _BY_LANGUAGE[language]
        if language == "*":
            return DEFAULT
    return DEFAULT


def _preferences(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept[:500].split(","):
        match = _RANGE.fullmatch(part.strip().replace(" ", ""))
        if match and (weight := float(match[2] or 1)) > 0:
            yield match[1].lower(), weight
