"""HTTP server that receives and verifies webhook deliveries, for development."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from aistemsplitter._errors import InvalidWebhook
from aistemsplitter._webhooks import WebhookEvent, verify_signature

LONGEST_BODY = 1 << 20  # bytes; an event has a few thousand
READ_TIMEOUT = 10  # seconds


class Receiver(ThreadingHTTPServer):
    """Server that verifies every POST and answers it with 204 or 400.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        on_event: Callback for verified events; never called concurrently.
        on_rejection: Callback for deliveries that are not genuine; never called concurrently.
    """

    daemon_threads = True

    def __init__(
        self,
        host: str,
        port: int,
        on_event: Callable[[WebhookEvent], object],
        on_rejection: Callable[[InvalidWebhook], object],
    ) -> None:
        super().__init__((host, port), _Handler)
        self.on_event, self.on_rejection = on_event, on_rejection
        self.callback_lock = threading.Lock()

    @property
    def url(self) -> str:
        """URL on which the server listens."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    timeout = READ_TIMEOUT

    @property
    def _receiver(self) -> Receiver:
        return cast(Receiver, self.server)

    def do_POST(self) -> None:
        """Verify a delivery and answer it."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._answer(411)
            return
        if len(length) > len(str(LONGEST_BODY)) or int(length) > LONGEST_BODY:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        try:
            event = verify_signature(self.headers.items(), body)
        except InvalidWebhook as rejection:
            with self._receiver.callback_lock:
                self._receiver.on_rejection(rejection)
            self._answer(400)
            return
        with self._receiver.callback_lock:
            self._receiver.on_event(event)
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, because the callbacks report every delivery."""
