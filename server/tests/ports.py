"""Free ports for processes that take a port number."""

from __future__ import annotations

import itertools
import os
import socket

# Below the range from which Linux picks ports for connections and for port 0, so that a port
# stays free until its process listens on it. Parallel test processes begin far apart.
LOWEST, COUNT = 10_000, 20_000
_next = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """Return an unused port, a different one on each call."""
    for number in itertools.islice(_next, COUNT):
        port = LOWEST + number % COUNT
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no free port")
