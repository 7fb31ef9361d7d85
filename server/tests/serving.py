"""The API on a loopback port, and a client."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from fastapi import FastAPI

from aistemsplitter_server.http import serving as api

# For clients that speak plain HTTP: reading the system's certificates takes longer than most tests.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[httpx2.Client]:
    """Run the server for the duration of the block, and yield a client."""
    listener = socket.create_server(("127.0.0.1", port))
    context = app.state.context
    server = api.server(app, context.settings, context.changes.end)
    server.config.timeout_graceful_shutdown = 1
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = listener.getsockname()[1]
    try:
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}",
            trust_env=False,
            timeout=180,
            verify=NO_CERTIFICATES,
        ) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
