"""A customer's own server on loopback: it takes webhooks, and gives out songs by URL."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aistemsplitter import InvalidWebhook, WebhookEvent, verify_signature


class Receiver:
    """What came in. Every tenth event is refused when it comes first.

    Attributes:
        events: by id, as it came last.
        times: how often each was taken.
        faults: what was wrong with deliveries.
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
                pass  # who asked was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """Take a delivery, or do not; the status of the answer."""
        try:
            event = verify_signature(headers, body, self._secret)
        except InvalidWebhook as error:
            self.faults.append(f"a delivery was not signed well: {error}")
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
    """A receiver for as long as the block lasts.

    Args:
        secret: that deliveries are signed with.
        songs: a folder, whose files are at ``/<name>``.
    """
    receiver = Receiver(secret, songs)
    try:
        yield receiver
    finally:
        receiver.close()
