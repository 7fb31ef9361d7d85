from __future__ import annotations

import pytest

from aistemsplitter_server.kit import filenames

FAMILY = "\U0001f469\u200d\U0001f467"
WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
HARP = "\U0001fa89"  # newer than the tables of Python 3.11 to 3.13


@pytest.mark.parametrize("name", ["音楽.wav", HARP, FAMILY, WALES, "می\u200cخواهم"])
def test_characters_that_are_kept(name: str) -> None:
    assert filenames.visible(name) == filenames.safe(name) == name


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("My\u202e Song\x00\x85\ufeff", "My Song"),
        ("\ud800\ufffe\ufdd0\U000e0fff", ""),
        ("\u200d\U000e0067", ""),
    ],
)
def test_invisible_characters(name: str, left: str) -> None:
    assert filenames.visible(name) == left


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a/b\\c:d.wav", "a_b_c_d.wav"),
        ("..hidden. ", "hidden"),
        ("", "audio"),
        ("...", "audio"),
        ("音" * 100 + ".flac", "音" * 78 + ".flac"),
        ("x" * 300 + ".y" * 10, "x" * 238 + ".y"),
        ("x." + "y" * 300, "x." + "y" * 238),
    ],
)
def test_safe_names(name: str, kept: str) -> None:
    assert filenames.safe(name) == kept


def test_names_are_not_cut_within_a_character() -> None:
    assert filenames.clip("aé", 2) == "a"
    assert filenames.clip(FAMILY, 7) == FAMILY[0]
