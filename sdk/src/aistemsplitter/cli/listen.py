"""A receiver on this machine, to watch deliveries while an application is being written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from aistemsplitter._errors import InvalidWebhook
from aistemsplitter._webhooks import WebhookEvent, verify_signature

LONGEST_BODY = 1 << 20  # bytes; an event has a few thousand
PATIENCE = 10  # seconds for a sender to come to its end


class Receiver(ThreadingHTTPServer):
    """Serves on ``host:port``; every POST is verified, and answered with 204 or 400."""

    daemon_threads = True

    def __init__(
        self,
        host: str,
        port: int,
        on_event: Callable[[WebhookEvent], object],
        on_refusal: Callable[[InvalidWebhook], object],
    ) -> None:
        super().__init__((host, port), _Handler)
        self.on_event, self.on_refusal = on_event, on_refusal
        self.telling = threading.Lock()  # deliveries may come at once, lines come one by one

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE

    @property
    def _receiver(self) -> Receiver:
        return cast(Receiver, self.server)

    def do_POST(self) -> None:
        """Verify one delivery."""
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
        except InvalidWebhook as refusal:
            with self._receiver.telling:
                self._receiver.on_refusal(refusal)
            self._answer(400)
            return
        with self._receiver.telling:
            self._receiver.on_event(event)
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what matters is told by the callbacks."""
