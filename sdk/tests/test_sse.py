from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistemsplitter import UnexpectedResponse
from aistemsplitter._sse import LARGEST_EVENT, Event, EventParser

STREAM = (
    b"\xef\xbb\xbf: hello\r\nid: 1\r\ndata: a\r\n\r\n"
    b"event: progress\ndata: b\ndata:c\n\ndata\r\rid\n\n"
)
EVENTS = [Event("message", "a", "1"), Event("progress", "b\nc", "1"), Event("message", "", "1")]


@given(st.lists(st.integers(0, len(STREAM))))
def test_chunk_boundaries_do_not_matter(cuts: list[int]) -> None:
    parser, found = EventParser(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        found += parser.feed(STREAM[start:end])
    assert found == EVENTS


@given(st.lists(st.binary()))
def test_any_bytes(pieces: list[bytes]) -> None:
    parser = EventParser()
    for piece in pieces:
        parser.feed(piece)


def test_an_endless_event_is_rejected() -> None:
    parser = EventParser()
    half = b"data: " + b"x" * (LARGEST_EVENT // 2) + b"\n"
    parser.feed(half)
    parser.feed(half)
    with pytest.raises(UnexpectedResponse):
        parser.feed(half)
