"""Declaring the errors of an endpoint in one line::

    @router.get("/{split_id}", responses=errors(NotFound))

Errors that any request can meet (no key, too many requests, an invalid body, an internal error) are
not declared: ``openapi.py`` adds them where they apply.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from aistemsplitter_server.kit.errors import ApiError

SCHEMAS = "#/components/schemas/"


def errors(*kinds: type[ApiError]) -> dict[int | str, dict[str, Any]]:
    """Return errors as FastAPI's ``responses``. Those of one status become alternatives."""
    by_status: defaultdict[int, list[type[ApiError]]] = defaultdict(list)
    for kind in kinds:
        by_status[kind.status].append(kind)
    return {status: _response(sharing) for status, sharing in by_status.items()}


def signed(*names: str) -> list[dict[str, Any]]:
    """Return the query of a presigned URL as OpenAPI ``parameters``."""
    return [
        {"name": name, "in": "query", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def schema_name(kind: type[ApiError]) -> str:
    """Return the name of the error's schema in the document."""
    return f"{kind.__name__}Error"


def kinds() -> dict[str, type[ApiError]]:
    """Return all kinds of errors by the names of their schemas."""
    found: dict[str, type[ApiError]] = {}
    waiting: list[type[ApiError]] = [ApiError]
    while waiting:
        children = waiting.pop().__subclasses__()
        found |= {schema_name(child): child for child in children}
        waiting += children
    return found


def schema(kind: type[ApiError]) -> dict[str, Any]:
    """Return the schema of responses with this error, derived from its example."""
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
