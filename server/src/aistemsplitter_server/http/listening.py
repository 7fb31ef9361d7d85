"""The listening socket, which outlives a process if its parent or systemd holds it."""

from __future__ import annotations

import os
import socket

BACKLOG = 2048  # connections that wait to be accepted, such as during a restart
FIRST_PASSED = 3  # descriptor of the first socket that systemd passes


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: The address cannot be used.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def inherited() -> socket.socket | None:
    """Return the listening socket that systemd passes (socket activation), if it does."""
    passed = os.environ.get("LISTEN_PID") == str(os.getpid())
    if not passed or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=FIRST_PASSED)
