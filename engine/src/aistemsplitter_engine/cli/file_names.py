"""Names of stems' files, from a template such as ``{song} ({stem})``."""

from __future__ import annotations

import os
import string
from collections.abc import Sequence

from aistemsplitter_engine.cli.folder_names import (
    NOT_EVERYWHERE,
    WINDOWS_DEVICES,
    OutputFileSystem,
)
from aistemsplitter_engine.errors import OptionError

_LONGEST = 100  # bytes of a template; leaves room for the song's name
_REFUSED = "which not all file systems accept"


class NameTemplate:
    """A template for the names of files, without their extension.

    Raises:
        OptionError: It has an unknown field, or is not a name that all file systems accept.
    """

    def __init__(self, template: str) -> None:
        self._template = template
        try:
            self._parts = [*string.Formatter().parse(template)]
        except ValueError as error:
            raise self._invalid(f"{error}; braces are written {{{{ and }}}}") from None
        for text, field, form, conversion in self._parts:
            if separators := sorted(set(text) & {"/", "\\"}):
                raise self._invalid(f"contains {separators[0]}; --output names the folder")
            if odd := sorted(NOT_EVERYWHERE.intersection(text)):
                raise self._invalid(f"contains {odd[0]!r}, {_REFUSED}")
            if field is not None and (field not in ("song", "stem") or form or conversion):
                raise self._invalid(f"has the unknown field {field!r}; use {{song}} and {{stem}}")
        if not template.strip(" ."):
            raise self._invalid("is empty")
        if template.partition(".")[0].casefold() in WINDOWS_DEVICES:
            raise self._invalid(f"is the name of a device, {_REFUSED}")
        if len(os.fsencode(template)) > _LONGEST:
            raise self._invalid(f"is longer than {_LONGEST} bytes")

    def check(self, stems: Sequence[str]) -> None:
        """Raise OptionError if several stems would have the same name."""
        if len(stems) > 1 and all(field != "stem" for _, field, _, _ in self._parts):
            raise self._invalid(f"lacks {{stem}}, so {' and '.join(stems[:2])} would be one file")

    def names(
        self, song: str, stems: Sequence[str], extension: str, file_system: OutputFileSystem
    ) -> dict[str, str]:
        """Return the names by stem; if they would be too long, the song's is cut."""
        others = max(len(os.fsencode(f"{self._filled('', s)}.{extension}")) for s in stems)
        times = sum(field == "song" for _, field, _, _ in self._parts)
        song = file_system.cut(song, others, times)
        return {stem: self._filled(song, stem) for stem in stems}

    def _filled(self, song: str, stem: str) -> str:
        values = {"song": song, "stem": stem, None: ""}
        return "".join(text + values[field] for text, field, _, _ in self._parts)

    def _invalid(self, reason: str) -> OptionError:
        return OptionError(f"the name {self._template!r}: {reason}")
