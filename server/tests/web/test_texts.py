from __future__ import annotations

import re
import runpy
import shutil
from importlib import resources
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from aistemsplitter_server import web
from aistemsplitter_server.web import texts

ROOT = Path(__file__).parents[3]
LOCALE = Path(web.__file__).parent / "locale"
TEMPLATES = resources.files(web).joinpath("templates")
SCRIPTS = resources.files(web).joinpath("static")
CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/messages.po"))
# The literal beginning of a composed key ends in "_" or "."; other tests cover the endings.
USED = re.compile(r"""\bt\(\s*['"]([a-z_]+\.[A-Za-z_.]*[A-Za-z])['"]""")
LITERAL = re.compile(r"""['"`]([a-z_]+\.[A-Za-z0-9_.]+)['"`]""")
BEGINNING = re.compile(r"""['"`]([a-z_]+\.[A-Za-z0-9_.]*?)(?=\$\{|\{|['"]\s*~)""")
SONGS = 'msgctxt "page.songs"\nmsgid "{n} song"\nmsgid_plural "{n} songs"\n'
POLISH = rf"""
msgid ""
msgstr ""
"Language: pl\n"
"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14)"
" ? 1 : 2);\n"

{SONGS}msgstr[0] "{{n}} utwór"
msgstr[1] "{{n}} utwory"
msgstr[2] "{{n}} utworów"
"""


def catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, abort_invalid=True)


def messages(path: Path) -> list[Message]:
    return [message for message in catalogue(path) if message.id]


def forms(text: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def test_every_language_has_a_catalogue() -> None:
    names = {path.parent.parent.name.replace("_", "-") for path in CATALOGUES}
    assert {texts.DEFAULT, *names} == texts.LANGUAGES.keys()


def test_keys_are_unique() -> None:
    keys = [message.context for message in messages(LOCALE / "messages.pot")]
    assert None not in keys
    assert len(keys) == len(set(keys)) > 500


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parent.parent.name)
def test_every_text_is_translated(path: Path) -> None:
    english, translated = messages(LOCALE / "messages.pot"), messages(path)
    assert [(message.context, message.id) for message in translated] == [
        (message.context, message.id) for message in english
    ], "run `make texts`"
    forms_needed = catalogue(path).num_plurals
    for message in translated:
        assert not message.fuzzy, f"check the translation of {message.context}, see CONTRIBUTING"
        wanted = 1 if isinstance(message.id, str) else forms_needed
        assert len(forms(message.string)) == wanted, message.context
        for form in forms(message.string):
            assert form.strip() == form != "", message.context
            assert _values(form) == _values(forms(message.id)[-1]), message.context


def test_values_are_marked_for_translators_tools() -> None:
    for message in messages(LOCALE / "messages.pot"):
        one, *_, many = forms(message.id)[0], forms(message.id)[-1]
        assert _values(one) == _values(many), message.context
        assert ("python-brace-format" in message.flags) == bool(_values(many)), message.context


def test_every_text_that_a_page_uses_exists() -> None:
    english = texts.of("en")
    used = [key for source in _sources() for key in USED.findall(source)]
    assert len(used) > 500
    assert [key for key in used if key not in english] == []


def test_every_text_is_used() -> None:
    sources = _sources()
    used = {key for source in sources for key in LITERAL.findall(source)}
    beginnings = tuple({start for source in sources for start in BEGINNING.findall(source)})
    keys = [str(message.context) for message in messages(LOCALE / "messages.pot")]
    assert [key for key in keys if key not in used and not key.startswith(beginnings)] == []


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de, fr", "en"),
        ("zh-CN", "zh-TW"),
        ("en;q=0.4, zh-TW;q=0.8", "zh-TW"),
        ("zh;q=0, en", "en"),
        ("*", "en"),
        ("de, *;q=0.1, zh", "zh-TW"),
        ("zh-TW;q=9", "en"),
        (";;;,,,", "en"),
    ],
)
def test_language_that_a_browser_prefers(accept: str, language: str) -> None:
    assert texts.chosen(None, accept) == language


def test_plurals() -> None:
    t = texts.of("en")
    counted = [t("studio.waiting", n=n) for n in (0, 1, 2)]
    assert counted == ["0 songs ahead", "1 song ahead", "2 songs ahead"]
    assert texts.of("zh-TW")("studio.waiting", n=1) == "前面還有 1 首"


@pytest.fixture
def polish(tmp_path: Path) -> Path:
    """A folder of catalogues with one text, which has a plural."""
    (tmp_path / "messages.pot").write_text(SONGS + 'msgstr[0] ""\nmsgstr[1] ""\n')
    path = tmp_path / "pl/LC_MESSAGES/messages.po"
    path.parent.mkdir(parents=True)
    path.write_text(POLISH, encoding="utf-8")
    return tmp_path


def test_plurals_of_another_language(polish: Path) -> None:
    t = texts.read("pl", polish)
    counted = [t("page.songs", n=n) for n in (1, 2, 5, 22)]
    assert counted == ["1 utwór", "2 utwory", "5 utworów", "22 utwory"]
    for_scripts = {"one": "{n} utwór", "few": "{n} utwory", "many": "{n} utworów"}
    assert t.under("page") == {"page.songs": for_scripts}


def test_a_translation_that_is_not_checked_is_not_shown(polish: Path) -> None:
    path = polish / "pl/LC_MESSAGES/messages.po"
    path.write_text(POLISH.replace("msgctxt", "#, fuzzy\nmsgctxt"), encoding="utf-8")
    t = texts.read("pl", polish)
    assert [t("page.songs", n=n) for n in (1, 2)] == ["1 song", "2 songs"]


def test_numbers() -> None:
    for t in map(texts.of, texts.LANGUAGES):
        assert [t.number(1234567), t.number(0.5), t.number(1234.5, 0)] == [
            "1,234,567",
            "0.5",
            "1,234",
        ]
        assert [t.number(3, 1), t.percent(0.35)] == ["3.0", "35%"]
    german = texts.Texts("de", {}, texts.NullTranslations())
    assert german.number(1234.5) == "1.234,5"


def test_changed_english_marks_its_translation(tmp_path: Path) -> None:
    update = runpy.run_path(str(ROOT / "scripts/texts.py"))["main"]
    shutil.copytree(LOCALE, tmp_path, dirs_exist_ok=True)
    translated = tmp_path / "zh_TW/LC_MESSAGES/messages.po"
    before = translated.read_text(encoding="utf-8")
    update(tmp_path)
    assert _texts(translated.read_text(encoding="utf-8")) == _texts(before)
    template = tmp_path / "messages.pot"
    changed = template.read_text(encoding="utf-8")
    changed = changed.replace('msgid "Split a song"', 'msgid "Separate a song"')
    changed += '\nmsgctxt "studio.new"\nmsgid "New"\nmsgstr ""\n'
    template.write_text(changed, encoding="utf-8")
    for _ in range(2):  # the second time changes nothing
        update(tmp_path)
        written = translated.read_text(encoding="utf-8")
        assert (
            '#, fuzzy\n#| msgid "Split a song"\nmsgctxt "studio.title"\n'
            'msgid "Separate a song"\nmsgstr "分離歌曲"\n'
        ) in written
        assert written.endswith('msgctxt "studio.new"\nmsgid "New"\nmsgstr ""\n\n')


def _texts(catalogue: str) -> str:
    """Return a catalogue without its header, which names the version of Babel."""
    return catalogue.partition("\n\n")[2]


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
        if entry.name.endswith((".html", ".js", ".py")) and entry.name != "texts.py"
    ]
