from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistemsplitter._names import file_names, file_stem, file_suffix


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("vocals", "vocals"),
        ("Backing vocals (left)", "Backing vocals (left)"),
        ("../../etc/passwd", "_._etc_passwd"),
        ("..", "stem"),
        ("", "stem"),
        (".hidden", "hidden"),
        ("a/b\\c:d", "a_b_c_d"),
        ("nul", "_nul"),
        ("COM1.x", "_COM1.x"),
        ("line\nbreak\0", "line_break_"),
        ("голос", "голос"),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert file_stem(name) == safe


@given(st.lists(st.text(max_size=300), unique=True, max_size=8), st.text(max_size=20))
def test_any_names_stay_in_the_folder(stems: list[str], output_format: str) -> None:
    names = file_names(stems, output_format)
    assert list(names) == stems
    assert len({name.casefold() for name in names.values()}) == len(stems)
    for name in names.values():
        assert PurePosixPath(name).name == PureWindowsPath(name).name == name
        assert not name.startswith(".")
        assert name.isprintable() or " " not in name
        assert len(name.encode("utf-8", "surrogatepass")) <= 255 + 80


def test_equal_names_get_different_suffixes() -> None:
    names = file_names(["Vocals", "vocals", "vocals/"], None)
    assert list(names.values()) == ["Vocals.wav", "vocals-2.wav", "vocals_.wav"]


def test_suffix() -> None:
    assert file_suffix("mp3") == ".mp3"
    assert file_suffix("../FLAC") == ".flac"
    assert file_suffix(None) == file_suffix("/") == ".wav"
