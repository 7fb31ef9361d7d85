"""Hooks of the site's generator, for what its plugins have no option for."""

from __future__ import annotations

import re
from typing import Any

import mkdocs.plugins

FIRST_HEADING = re.compile(r"^# .*$", re.MULTILINE)


@mkdocs.plugins.event_priority(-100)  # after the plugin that writes the REST reference
def on_page_markdown(markdown: str, **_arguments: Any) -> str:
    """Keep a page's first level-1 heading only: the table of contents lists what is under it."""
    seen = False

    def keep_first(heading: re.Match[str]) -> str:
        nonlocal seen
        kept, seen = "" if seen else heading[0], True
        return kept

    if "<!-- rest -->" in markdown:
        return FIRST_HEADING.sub(keep_first, markdown)
    return markdown
