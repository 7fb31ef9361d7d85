"""The two drivers, which carry out effects by httpx2; only this folder imports it."""

from aistemsplitter._http.async_driver import AsyncDriver
from aistemsplitter._http.sync_driver import SyncDriver

__all__ = ["AsyncDriver", "SyncDriver"]
