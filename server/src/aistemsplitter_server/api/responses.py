"""How an endpoint declares the errors that it answers with, in one line::

    @router.get("/{split_id}", responses=errors(NotFound))

What every request can meet (no key, too many requests, a fault of ours, a body that is not valid)
is not declared: ``openapi.py`` adds it where it applies.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from aistemsplitter_server.kit.errors import ApiError

SCHEMAS = "#/components/schemas/"


def errors(*kinds: type[ApiError]) -> dict[int | str, dict[str, Any]]:
    """These errors as FastAPI's ``responses``; several of one status become alternatives."""
    by_status: defaultdict[int, list[type[ApiError]]] = defaultdict(list)
    for kind in kinds:
        by_status[kind.status].append(kind)
    return {status: _response(sharing) for status, sharing in by_status.items()}


def signed(*names: str) -> list[dict[str, Any]]:
    """The query of a signed URL as OpenAPI's ``parameters``; only our own URLs have a right one."""
    return [
        {"name": name, "in": "query", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def schema_name(kind: type[ApiError]) -> str:
    """Of the error's schema in the document."""
    return f"{kind.__name__}Error"


def kinds() -> dict[str, type[ApiError]]:
    """Every kind of error there is, by the name of its schema."""
    found: dict[str, type[ApiError]] = {}
    waiting: list[type[ApiError]] = [ApiError]
    while waiting:
        children = waiting.pop().__subclasses__()
        found |= {schema_name(child): child for child in children}
        waiting += children
    return found


def schema(kind: type[ApiError]) -> dict[str, Any]:
    """What an answer with this error looks like, read off an example of it."""
    sample = kind.example()
    error = {
        "code": {"const": sample.code, "type": "string"},
        "message": {"type": "string"},
        **{name: _shape(value) for name, value in sample.extra.items()},
    }
    return _object({"success": {"const": False, "type": "boolean"}, "error": _object(error)})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _shape(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return _object({name: _shape(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return {"type": "array", "items": _shape(value[0])}
    return {"type": "integer" if isinstance(value, int) else "string"}


def _response(sharing: list[type[ApiError]]) -> dict[str, Any]:
    references = [{"$ref": SCHEMAS + schema_name(kind)} for kind in sharing]
    schema = references[0] if len(references) == 1 else {"oneOf": references}
    return {
        "description": " ".join((kind.__doc__ or "").partition("\n")[0] for kind in sharing),
        "content": {"application/json": {"schema": schema}},
    }
