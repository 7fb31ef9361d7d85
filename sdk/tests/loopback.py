"""A real HTTP server with a FakeService and faults that need a socket."""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aistemsplitter.testing import FakeService, Reply, Request


@dataclass
class Fault:
    """A fault of the next requests with a matching path.

    Attributes:
        kind: ``reset`` the connection before or ``reset_after`` processing the request;
            ``cut`` or ``stall`` the response after ``at`` bytes of its body; ``hold`` it back;
            ``drip`` the first ``at`` bytes of its headers or ``drip_body`` those of its body, one
            every 50 ms; ``corrupt`` the byte at ``at``; ignore the range (``no_range``); or
            ``change`` the reply.
    """

    kind: str
    path: str = ""
    at: int = 0
    times: int = 1
    change: Callable[[Reply], Reply] = field(default=lambda reply: reply)


class Loopback:
    """An HTTP server on a free port; ``faults`` are used up as requests arrive."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.open_connections = 0
        self.connections = 0
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.loopback = self
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self.service = FakeService(streams=False, url=self.url)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def fault(self, kind: str, path: str = "", **more: Any) -> None:
        self.faults.append(Fault(kind, path, **more))

    def take(self, path: str) -> Fault | None:
        for fault in self.faults:
            if re.search(fault.path, path):
                fault.times -= 1
                if fault.times < 1:
                    self.faults.remove(fault)
                return fault
        return None

    def last_json(self) -> Any:
        """Return the JSON body of the last request."""
        body = self.service.requests[-1].body
        assert isinstance(body, bytes)
        return json.loads(body)

    def idempotency_keys(self) -> list[str]:
        """Return the keys of all submissions in order."""
        return [
            headers["idempotency-key"]
            for method, path, headers in self.seen
            if (method, path) == ("POST", "/v1/audio/splits")
        ]

    def storage_requests(self) -> list[dict[str, str]]:
        """Return the headers of all requests to the storage in order."""
        return [headers for _, path, headers in self.seen if path.startswith("/storage/")]

    def wait_stalled(self) -> None:
        self.stopping.wait(30)

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    loopback: Loopback

    def handle_error(self, *_: object) -> None:
        pass  # the tests drop connections on purpose


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise each response waits 40 ms for an acknowledgement
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.loopback.open_connections += 1
        self.server.loopback.connections += 1

    def finish(self) -> None:
        self.server.loopback.open_connections -= 1
        super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def answer(self) -> None:
        loopback = self.server.loopback
        headers = {name.lower(): value for name, value in self.headers.items()}
        loopback.seen.append((self.command, self.path, headers))
        fault = loopback.take(self.path)
        kind = fault.kind if fault else ""
        if kind == "reset":
            return self.reset()
        if kind == "hold":
            self.close_connection = True
            return loopback.wait_stalled()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        if kind == "no_range":
            headers.pop("range", None)
        request = Request(
            method=self.command, url=loopback.url + self.path, headers=headers, body=body
        )
        reply = loopback.service(request)
        if fault:
            reply = fault.change(reply)
        if kind == "reset_after":
            return self.reset()
        data = reply.body
        if kind == "corrupt" and fault:
            data = data[: fault.at] + bytes([data[fault.at] ^ 1]) + data[fault.at + 1 :]
        if kind == "drip" and fault:
            self.drip(b"HTTP/1.1 200 OK\r\nX-Drip: ".ljust(fault.at, b"x"))
            self.wfile.write(b"\r\n")
            self._headers_buffer: list[bytes] = []
        else:
            self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "content-length" not in reply.headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault and kind in ("cut", "stall"):
            self.wfile.write(data[: fault.at])
            self.wfile.flush()
            if kind == "stall":
                loopback.wait_stalled()
            self.close_connection = True  # not reset, which would discard the bytes in transit
            return None
        if kind == "drip_body" and fault:
            self.drip(data[: fault.at])
            data = data[fault.at :]
        self.wfile.write(data)
        return None

    def drip(self, data: bytes) -> None:
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.loopback.stopping.wait(0.05):
                break

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  # names of http.server

    def reset(self) -> None:
        # The lingering time of zero makes close() send RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
