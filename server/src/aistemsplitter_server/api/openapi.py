"""The API's OpenAPI document: FastAPI's, completed with what all endpoints have in common.

FastAPI knows each endpoint's own schemas. Added here are the errors that any request can meet, the
headers of every response, and whole examples, built from those of the fields.
"""

from __future__ import annotations

import json
import re
from threading import Lock
from typing import Any, NamedTuple

import yaml
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from aistemsplitter_server.api import openapi_webhooks, responses
from aistemsplitter_server.kit import errors
from aistemsplitter_server.kit.errors import ApiError
from aistemsplitter_server.kit.schemas import EXAMPLE

DESCRIPTION = """\
Splits songs into stems. Every response is JSON: `{"success": true, "data": ...}` or
`{"success": false, "error": {"code": "...", "message": "..."}}`, and carries a `Request-Id`
that identifies it in the service's logs. Credits are counted in seconds of source audio."""

# In the order of the reference: what a new reader needs comes first.
TAGS = {
    "splits": "Submit songs, follow their progress and get their stems.",
    "uploads": "Upload a song straight to storage, then submit it.",
    "credits": "Balance of the account, and what it used.",
    "models": "Models, their stems and whether they are installed.",
    "webhooks": "Endpoints that receive events, the events, and their deliveries.",
    "storage": "Stems and songs behind signed URLs.",
    "health": "For load balancers and monitoring.",
}

LIMITS = "Absent while limits are off or before the key is known."
HEADERS = {
    "Request-Id": ("string", "Identifies this request in the server's logs."),
    "RateLimit-Limit": (
        "integer",
        f"Requests per minute of the key or of its account. {LIMITS}",
    ),
    "RateLimit-Remaining": ("integer", f"Requests left. {LIMITS}"),
    "RateLimit-Reset": ("integer", f"Seconds until the allowance is full again. {LIMITS}"),
}
# The names that pydantic gives to Success[Thing] and Success[list[Thing]].
WRAPPED = re.compile(r'Success_(?:(list)_)?([A-Za-z]+)_+"')
# schemas of errors that the API never returns
FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")

Json = dict[str, Any]


def as_json(app: FastAPI, base_url: str) -> bytes:
    """Return the document of the API at the base URL as JSON."""
    servers = json.dumps(_servers(base_url)).encode()
    return _rendered(app).json.removesuffix(b"}") + b',"servers":' + servers + b"}"


def as_yaml(app: FastAPI, base_url: str) -> bytes:
    """Return the document of the API at the base URL as YAML."""
    return _rendered(app).yaml + yaml.safe_dump({"servers": _servers(base_url)}).encode()


def document(app: FastAPI, base_url: str) -> Json:
    """Return the document of the API at the base URL."""
    if app.openapi_schema is None:
        app.openapi_schema = _made(app)
    return {**app.openapi_schema, "servers": _servers(base_url)}


def _servers(base_url: str) -> list[Json]:
    return [{"url": base_url}]


class _Rendered(NamedTuple):
    """The rendered document, without its servers: they alone differ between requests."""

    json: bytes
    yaml: bytes


_rendering = Lock()


def _rendered(app: FastAPI) -> _Rendered:
    """Render the document, once for each application, since that takes half a second."""
    with _rendering:
        if not hasattr(app.state, "openapi"):
            made = document(app, "")
            del made["servers"]
            app.state.openapi = _Rendered(
                json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode(),
                yaml.safe_dump(made, sort_keys=False, allow_unicode=True).encode(),
            )
        rendered: _Rendered = app.state.openapi
        return rendered


def _made(app: FastAPI) -> Json:
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": described} for name, described in TAGS.items()],
    )
    made: Json = json.loads(WRAPPED.sub(_wrapper, json.dumps(found)))
    made["paths"] = dict(sorted(made["paths"].items(), key=_place))
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    components["headers"] = {
        name: {
            "description": description,
            "required": name == "Request-Id",
            "schema": {"type": kind},
        }
        for name, (kind, description) in HEADERS.items()
    }
    for schema in schemas.values():
        if text := schema.pop(EXAMPLE, None):
            schema["examples"] = [json.loads(text)]
        for named in (schema, *schema.get("properties", {}).values()):
            named.pop("title", None)  # repeats the name
    for path in made["paths"].values():
        for operation in path.values():
            _complete(operation, schemas)
            if "security" in operation:
                _name_scopes(operation)
    made["webhooks"] = openapi_webhooks.section(schemas["WebhookEvent"])
    for name in FASTAPIS_OWN:
        schemas.pop(name, None)
    return made


def _name_scopes(operation: Json) -> None:
    """Add the scopes that a key needs to an operation's description, for readers."""
    scopes = [scope for each in operation["security"] for named in each.values() for scope in named]
    names = " and ".join(f"`{scope}`" for scope in scopes)
    needs = f"Needs the scope {names}." if scopes else "Needs no scope."
    operation["description"] = "\n\n".join(filter(None, (operation.get("description"), needs)))


def _place(path: tuple[str, Json]) -> int:
    """Return the position of a path's tag; the paths of one tag keep their order."""
    operation = next(iter(path[1].values()))
    return [*TAGS].index(operation["tags"][0])


def _wrapper(match: re.Match[str]) -> str:
    return f'{match[2]}{"List" if match[1] else ""}Response"'


def _complete(operation: Json, schemas: Json) -> None:
    """Add what all operations have in common, and replace each error's schema by an exact one."""
    kinds = responses.kinds()
    declared: dict[str, list[type[ApiError]]] = {}
    for status, response in operation["responses"].items():
        if (names := _error_names(response)) is not None:
            declared[status] = [kinds[name] for name in names]
    for kind in _of_all(operation):
        sharing = declared.setdefault(str(kind.status), [])
        if kind not in sharing:
            sharing.insert(0, kind)
    for status, sharing in declared.items():
        operation["responses"][status] = responses.errors(*sharing)[int(status)]
        for kind in sharing:
            schemas[responses.schema_name(kind)] = responses.schema(kind)
        _illustrate(operation["responses"][status], sharing)
    if body := operation.get("requestBody"):
        _exemplify(body, schemas)
    for parameter in operation.get("parameters", ()):
        parameter["schema"].pop("title", None)
        if parameter["in"] == "header":
            parameter["name"] = parameter["name"].title()
    for status, response in operation["responses"].items():
        named = HEADERS if "security" in operation and status != "401" else ("Request-Id",)
        headers = {name: {"$ref": f"#/components/headers/{name}"} for name in named}
        response["headers"] = {**headers, **response.get("headers", {})}
        if status.startswith("2"):
            _exemplify(response, schemas)
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _of_all(operation: Json) -> list[type[ApiError]]:
    """Return the errors of all operations like this one, which none declares itself."""
    found: list[type[ApiError]] = [errors.Internal]
    if "security" in operation:
        found += [errors.Unauthorized, errors.Forbidden, errors.AccountSuspended]
        found += [errors.RateLimited, errors.Unavailable]
    if "requestBody" in operation:
        found += [errors.PayloadTooLarge, errors.RequestTimeout]
    if "requestBody" in operation or "parameters" in operation:
        found.append(errors.ValidationFailed)
    return found


def _error_names(response: Json) -> list[str] | None:
    """Return the schemas of the errors in a response; None for FastAPI's own."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    names = [
        choice["$ref"].removeprefix(responses.SCHEMAS)
        for choice in schema.get("oneOf", [schema])
        if "$ref" in choice
    ]
    if names and all(name in responses.kinds() for name in names):
        return names
    return [] if any(name in FASTAPIS_OWN for name in names) else None


def _illustrate(response: Json, sharing: list[type[ApiError]]) -> None:
    """Add an example for each error code, and the headers that come with it."""
    samples = [kind.example() for kind in sharing]
    response["content"]["application/json"]["examples"] = {
        sample.code: {"value": sample.envelope()} for sample in samples
    }
    always = set.intersection(*(set(sample.headers) for sample in samples))
    values = {name: value for sample in samples for name, value in sample.headers.items()}
    response["headers"] = {
        name: {
            "required": name in always,
            "schema": {"type": "integer" if value.isdecimal() else "string"},
        }
        for name, value in values.items()
    }


def _exemplify(holder: Json, schemas: Json) -> None:
    """Add an example to a body that has none."""
    media = holder.get("content", {}).get("application/json")
    if media is not None and not {"example", "examples"} & media.keys():
        media["example"] = _example(media["schema"], schemas)


def _example(schema: Json, schemas: Json) -> Any:
    """Return a value of the schema, made of its examples, constants and defaults."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].removeprefix(responses.SCHEMAS)], schemas)
    for key in ("examples", "enum", "anyOf", "oneOf", "allOf"):
        if key in schema:
            first = schema[key][0]
            return _example(first, schemas) if key.endswith("Of") else first
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "properties" in schema:
        return {name: _example(of, schemas) for name, of in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_example(schema.get("items", {}), schemas)]
    plain = {"integer": 1, "number": 0.5, "boolean": True, "string": "text", "object": {}}
    return plain.get(schema.get("type", "null"))
