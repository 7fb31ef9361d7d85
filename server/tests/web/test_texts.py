from __future__ import annotations

import re
from importlib import resources
from string import Formatter

import pytest

from aistemsplitter_server import web
from aistemsplitter_server.web import texts

TEMPLATES = resources.files(web).joinpath("templates")
SCRIPTS = resources.files(web).joinpath("static")
# A key that is put together ends in an underscore or a dot; what may follow its users test.
USED = re.compile(r"""\bt\(\s*['"]([a-z_]+\.[A-Za-z_.]*[A-Za-z])['"]""")


def messages(language: str) -> dict[str, str]:
    found = texts.of(language)
    return found._messages  # type: ignore[return-value]


def test_every_language_has_every_text_with_the_same_values() -> None:
    english = messages("en")
    for language in texts.LANGUAGES:
        others = messages(language)
        # A language without a form for one thing has that for many only.
        missing = {key for key in english.keys() - others.keys() if not key.endswith(".one")}
        assert not missing, language
        assert not others.keys() - english.keys(), language
        for key in english.keys() & others.keys():
            assert _values(english[key]) == _values(others[key]), (language, key)
            assert others[key].strip() == others[key] != "", (language, key)


def test_every_text_that_a_page_uses_is_there() -> None:
    english = texts.of("en")
    used = 0
    for source in _sources():
        for key in USED.findall(source):
            used += 1
            assert key in english or f"{key}.other" in english, key
    assert used > 30


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de, fr", "en"),
        ("zh-CN", "zh-TW"),
        ("en;q=0.4, zh-TW;q=0.8", "zh-TW"),
        ("zh;q=0, en", "en"),
        ("*", "en"),
        ("zh-TW;q=9", "en"),
        (";;;,,,", "en"),
    ],
)
def test_the_language_that_a_browser_wishes(accept: str, language: str) -> None:
    assert texts.chosen(None, accept) == language


def test_plurals() -> None:
    t = texts.Texts("en", {"song.one": "{n} song", "song.other": "{n} songs"})
    assert [t("song", n=n) for n in (0, 1, 2)] == ["0 songs", "1 song", "2 songs"]


def _values(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def _sources() -> list[str]:
    pages = resources.files(web)
    folders = [TEMPLATES, SCRIPTS, pages, SCRIPTS.joinpath("player")]
    return [
        entry.read_text(encoding="utf-8")
        for folder in folders
        if folder.is_dir()
        for entry in folder.iterdir()
        if entry.name.endswith((".html", ".js", ".py"))
    ]
