"""The priority of child processes that compute: the API and the pages answer first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

DECODING = 5
SEPARATING = 5
PLAYER_AUDIO = 10  # nobody waits for it yet, so separation goes first


def lower(niceness: int) -> None:
    """Raise this process's niceness.

    A process that leads a session of its own is also weighed as a group against other sessions
    where Linux's autogroups are on, so the group gets the same niceness.
    """
    os.nice(niceness)
    with suppress(OSError):  # no autogroups on this system
        Path("/proc/self/autogroup").write_text(str(niceness))
