"""``/openapi.json`` and ``/openapi.yaml``: the API's document."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from aistemsplitter_server.api import openapi
from aistemsplitter_server.http.context import BaseUrl

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
def openapi_json(request: Request, base_url: BaseUrl) -> Response:
    """Return the document as JSON."""
    return Response(openapi.as_json(request.app, base_url), media_type="application/json")


@router.get("/openapi.yaml")
def openapi_yaml(request: Request, base_url: BaseUrl) -> Response:
    """Return the document as YAML."""
    return Response(openapi.as_yaml(request.app, base_url), media_type="application/yaml")
