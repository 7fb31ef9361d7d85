"""The base of a client's calls: it runs their operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aistemsplitter._base import BaseClient
from aistemsplitter._effects import Operation

if TYPE_CHECKING:
    from aistemsplitter._http import SyncDriver

T = TypeVar("T")


class SyncCalls(BaseClient):
    """A client without calls; a base class of the client."""

    _driver: SyncDriver

    def _run(self, operation: Operation[T]) -> T:
        self._check_open(operation)
        return self._driver.run(operation)
