from __future__ import annotations

import threading

from aistemsplitter_server.kit.periodic import repeating
from processes import until


def test_work_is_repeated_until_the_block_ends() -> None:
    threads: list[threading.Thread] = []
    with repeating(lambda: threads.append(threading.current_thread()), 0.001, "counting"):
        until(lambda: len(threads) > 2)
    assert {thread.name for thread in threads} == {"counting"}
    assert not threads[0].is_alive()
