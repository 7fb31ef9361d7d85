"""A customer's own server on loopback, which receives webhooks and serves songs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aistemsplitter import InvalidWebhook, WebhookEvent, verify_signature


class Receiver:
    """The received events; every tenth event is rejected once.

    Attributes:
        events: The last delivery of each event, by id.
        times: Number of accepted deliveries by event id.
        faults: Errors in deliveries.
    """

    def __init__(self, secret: str, songs: Path) -> None:
        self.events: dict[str, WebhookEvent] = {}
        self.times: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.faults: list[str] = []
        self._secret = secret
        self._songs = songs
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(receiver.take(dict(self.headers.items()), body))

            def do_GET(self) -> None:
                self._answer(200, (receiver._songs / Path(self.path).name).read_bytes())

            def _answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # the client was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Accept or reject a delivery; return the status of the response."""
        try:
            event = verify_signature(headers, body, self._secret)
        except InvalidWebhook as error:
            self.faults.append(f"a delivery has an invalid signature: {error}")
            return 400
        with self._lock:
            known = event.id in self.times or event.id in self.refused
            if not known and (len(self.events) + len(self.refused)) % 10 == 9:
                self.refused.add(event.id)
                return 500
            self.events[event.id] = event
            self.times[event.id] += 1
        return 200

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving(secret: str, songs: Path) -> Iterator[Receiver]:
    """Run a receiver for the duration of the block.

    Args:
        secret: Secret that signs the deliveries.
        songs: Folder whose files are served at ``/<name>``.
    """
    receiver = Receiver(secret, songs)
    try:
        yield receiver
    finally:
        receiver.close()
