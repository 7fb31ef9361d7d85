"""The two drivers: they carry out what the core asks for, by httpx2, known to this folder alone."""

from aistemsplitter._http.async_driver import AsyncDriver
from aistemsplitter._http.sync_driver import SyncDriver

__all__ = ["AsyncDriver", "SyncDriver"]
