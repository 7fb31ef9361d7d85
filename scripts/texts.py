"""Bring the English texts of the pages into the catalogues of all languages: ``make texts``.

A text whose English has changed keeps its translation, marked ``fuzzy`` with the previous English,
and pages show it in English until a translator has checked it and removed the mark. Texts are
matched by key. ``pybabel update`` matches them by similar English instead: after "Older" became
"Earlier" it suggested the translation of "alive".
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import denormalize, read_po, write_po

LOCALE = Path(__file__).parents[1] / "server/src/aistemsplitter_server/web/locale"


def main(folder: Path = LOCALE) -> None:
    """Update all catalogues of a folder and print how many texts each leaves to translate."""
    template = read(folder / "messages.pot")
    for path in sorted(folder.glob("*/LC_MESSAGES/messages.po")):
        catalogue = updated(read(path), template)
        with path.open("wb") as file:
            write_po(file, catalogue, width=0, include_previous=True)
        missing = sum(not all(strings(message)) for message in catalogue if message.id)
        fuzzy = sum(message.fuzzy for message in catalogue if message.id)
        print(f"{catalogue.locale}: {missing} to translate, {fuzzy} to check")


def read(path: Path) -> Catalog:
    """Read a catalogue."""
    with path.open("rb") as file:
        return read_po(file, ignore_obsolete=True, abort_invalid=True)


def updated(catalogue: Catalog, template: Catalog) -> Catalog:
    """Return the catalogue with the template's texts, in its order, and their translations."""
    translations = {message.context: message for message in catalogue if message.id}
    result = Catalog(
        catalogue.locale,
        header_comment=catalogue.header_comment,
        creation_date=catalogue.creation_date,
        fuzzy=False,
    )
    result.mime_headers = catalogue.mime_headers
    for message in template:
        if message.id:
            result[message.id] = _translated(message, translations.get(message.context))
    return result


def strings(message: Message) -> tuple[str, ...]:
    """Return the forms of a translation; empty strings are missing."""
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ())


def _translated(message: Message, before: Message | None) -> Message:
    new = message.clone()
    if before is None:
        return new
    new.user_comments = [line for line in before.user_comments if not line.startswith("|")]
    if isinstance(before.id, str) != isinstance(new.id, str):
        return new
    new.string = before.string
    if before.fuzzy:
        new.flags.add("fuzzy")
        new.previous_id = _previous(before)
    elif before.id != new.id and all(strings(before)):
        new.flags.add("fuzzy")
        new.previous_id = [before.id] if isinstance(before.id, str) else list(before.id)
    return new


def _previous(message: Message) -> list[str]:
    """Return the previous English, which Babel writes but reads as a comment (its issue 206)."""
    lines = [line[1:].strip() for line in message.user_comments if line.startswith("|")]
    return [
        denormalize(part.strip()) for part in re.split("msgid(?:_plural)? ", "\n".join(lines))[1:]
    ]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
