"""Work that each process does once, shared by all tests of a run.

Every test has its own application and database. Without this, each would analyse all routes and
compile all SQL statements again: a third of the processor time of the tests of the API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine
from sqlalchemy.engine import Compiled

from aistemsplitter_server.api import app as api
from aistemsplitter_server.kit import database
from aistemsplitter_server.web import app as web


@contextmanager
def prepared() -> Iterator[None]:
    """Share routes and compiled statements for the duration of the block."""
    statements = CompiledStatements()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "routed", _sharing_routes(api.routed))
        patch.setattr(web, "routed", _sharing_routes(web.routed))
        patch.setattr(
            database,
            "create_engine",
            partial(create_engine, execution_options={"compiled_cache": statements}),
        )
        yield


def _sharing_routes(routed: Callable[[], FastAPI]) -> Callable[[], FastAPI]:
    router = routed().router

    def shared() -> FastAPI:
        app = routed()
        app.router = router
        return app

    return shared


class CompiledStatements(MutableMapping[Any, Compiled]):
    """SQLAlchemy's cache of compiled statements, for all engines of a kind.

    The first part of a key is the engine's dialect; its name stands for it here.
    """

    def __init__(self) -> None:
        self._compiled: dict[Any, Compiled] = {}

    def __getitem__(self, key: Any) -> Compiled:
        return self._compiled[_of_any_engine(key)]

    def __setitem__(self, key: Any, compiled: Compiled) -> None:
        self._compiled[_of_any_engine(key)] = compiled

    def __delitem__(self, key: Any) -> None:
        del self._compiled[_of_any_engine(key)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._compiled)

    def __len__(self) -> int:
        return len(self._compiled)


def _of_any_engine(key: Any) -> Any:
    dialect, *rest = key
    return (dialect.name, dialect.driver, *rest)
