"""Pages of a list: how many items one has, and the cursor of the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeVar

from fastapi import Query

from aistemsplitter_server.kit import ids

Item = TypeVar("Item")

PageLimit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(description="nextCursor of the previous page")]


def id_before(
    prefix: Literal["split", "upl", "dlv", "evt", "whe"], cursor: str | None
) -> str | None:
    """Return the id to continue before; None for the first page.

    Raises:
        ValidationFailed: The cursor is not valid.
    """
    return None if cursor is None else ids.from_cursor(prefix, cursor)


def cut(
    found: Sequence[Item], limit: int, id_of: Callable[[Item], str]
) -> tuple[Sequence[Item], str | None]:
    """Return a page and the cursor of the next one, if there is one.

    Args:
        found: The page, and one more item if there is one.
    """
    page = found[:limit]
    return page, ids.body(id_of(page[-1])) if len(found) > limit else None
