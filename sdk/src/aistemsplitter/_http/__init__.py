"""Drivers that perform an operation's effects with httpx2. Only this package imports it."""

from httpx2 import AsyncClient as AsyncHttpClient
from httpx2 import Client as HttpClient

from aistemsplitter._http.async_driver import AsyncDriver
from aistemsplitter._http.connections import Network
from aistemsplitter._http.sync_driver import SyncDriver

__all__ = ["AsyncDriver", "AsyncHttpClient", "HttpClient", "Network", "SyncDriver"]
