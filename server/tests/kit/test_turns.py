from __future__ import annotations

import threading
import time

import pytest

from aistemsplitter_server.kit.turns import TooLong, Turns


def test_turns_are_given_in_order() -> None:
    turns, came, threads = Turns(10), list[int](), list[threading.Thread]()

    def take(number: int) -> None:
        with turns:
            came.append(number)

    with turns:
        for number in range(20):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(turns._waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert came == list(range(20))


def test_only_one_has_the_turn() -> None:
    turns, inside, most = Turns(10), 0, 0

    def take() -> None:
        nonlocal inside, most
        for _ in range(50):
            with turns:
                inside += 1
                most = max(most, inside)
                time.sleep(0)  # let another thread run
                inside -= 1

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_a_timed_out_waiter_leaves_the_queue() -> None:
    turns = Turns(0.05)
    with turns:
        with pytest.raises(TooLong), turns:
            pass
        assert not turns._waiting
    with turns:
        pass


def test_an_error_inside_ends_the_turn() -> None:
    turns = Turns(0.05)
    with pytest.raises(ZeroDivisionError), turns:
        raise ZeroDivisionError
    with turns:
        pass
