"""Start a command with a listening socket, as systemd does (socket activation)."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

# Passes a socket to a command as systemd does: as descriptor 3, to the process LISTEN_PID.
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""


def start(
    listener: socket.socket, command: Sequence[str], **options: Any
) -> subprocess.Popen[bytes]:
    """Start a command that inherits the socket. Options are those of ``Popen``."""
    return subprocess.Popen(
        [sys.executable, "-c", AS_SYSTEMD, str(listener.fileno()), *command],
        pass_fds=[listener.fileno()],
        **options,
    )
