from __future__ import annotations

from urllib.parse import quote

import pytest

from aistemsplitter_server.storage.headers import content_disposition


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Sóng.wav", "Song.wav"),
        ("音楽.zip", "audio.zip"),
        ("音楽 - vocals.wav", "vocals.wav"),
        ("\U0001fa89.flac", "audio.flac"),
        ("a\N{FULLWIDTH QUOTATION MARK}; x.wav", "a_; x.wav"),
    ],
)
def test_names_that_are_not_ascii(name: str, plain: str) -> None:
    header = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    assert content_disposition(name) == header


def test_a_name_in_ascii() -> None:
    assert content_disposition("a/b - c.wav") == 'attachment; filename="a_b - c.wav"'
