"""Filters of the fake service's list of splits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def matches(split: Mapping[str, Any], query: Mapping[str, str], aliases: Mapping[str, str]) -> bool:
    """Return whether the query parameters select a split.

    Args:
        split: JSON of the split.
        query: Parameters of the request.
        aliases: Names of models by their other names.
    """
    created = datetime.fromisoformat(split["createdAt"])
    after, before = query.get("createdAfter"), query.get("createdBefore")
    model = query.get("model")
    own = split["stemModel"]
    wanted = {
        name.removeprefix("metadata[").removesuffix("]"): value
        for name, value in query.items()
        if name.startswith("metadata[")
    }
    return (
        query.get("status") in (None, split["status"])
        and (after is None or created >= datetime.fromisoformat(after))
        and (before is None or created < datetime.fromisoformat(before))
        and (model is None or aliases.get(model, model) == aliases.get(own, own))
        and all(split["metadata"].get(key) == value for key, value in wanted.items())
    )
