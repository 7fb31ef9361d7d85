"""The routes of the pages, read from the application so that none is forgotten."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from aistemsplitter_server.web import sessions
from aistemsplitter_server.web.app import ROUTERS

SAFE = ("GET", "HEAD", "OPTIONS")
# Routes that take JSON, and what they are sent.
BODIES: dict[str, dict[str, Any]] = {
    "POST /studio/songs/{split_id}/player-state": {
        "mix": {"strips": {}, "original": False, "volume": 1},
        "region": None,
        "loops": False,
        "speed": 1,
        "position": 0,
        "savedAt": 0,
    },
    "POST /studio/songs/{split_id}/grid": {"beats": [0, 500], "beatsPerBar": 2, "firstDownbeat": 0},
}


@dataclass(frozen=True)
class Route:
    """A method and path, and the users for whom the endpoint is called."""

    method: str
    path: str
    whom: Literal["anyone", "person", "operator"]

    @property
    def ids(self) -> list[str]:
        """Names of the path's parameters."""
        return re.findall(r"\{(\w+)", self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes() -> list[Route]:
    """Return all routes."""
    return [
        Route(method, route.path, _whom(route))
        for route in api_routes()
        for method in sorted(route.methods)
    ]


def api_routes() -> Iterator[APIRoute]:
    """Yield FastAPI's own objects of all routes."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route


def served(pages: FastAPI) -> set[str]:
    """Return the routes that the application itself reports."""
    document: dict[str, Any] = get_openapi(title="", version="", routes=pages.routes)
    return {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }


def _whom(route: APIRoute) -> Literal["anyone", "person", "operator"]:
    asked = {*_calls(route.dependant)}
    if sessions._operator in asked:
        return "operator"
    return "person" if sessions._required in asked else "anyone"


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    yield dependant.call
    for each in dependant.dependencies:
        yield from _calls(each)
