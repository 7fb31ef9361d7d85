"""The names of stems' files."""

from __future__ import annotations

from pathlib import Path

import pytest

from aistemsplitter_engine import Separator
from aistemsplitter_engine.errors import OptionError
from stem_files import song

pytestmark = pytest.mark.usefixtures("fakes")


def test_names_of_files(tmp_path: Path) -> None:
    names = {"vocals": "My song (vocals)", "bass": "Füße.v2"}
    stems = ["vocals", "bass", "drums"]
    result = Separator("htdemucs_tiny").split(song(1), tmp_path, stems=stems, names=names)
    assert {path.name for path in tmp_path.iterdir()} == {
        "My song (vocals).wav",
        "Füße.v2.wav",
        "drums.wav",
    }
    assert result.stems["bass"] == tmp_path / "Füße.v2.wav"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"bass": ""}, "the name '' for bass is not a file name"),
        ({"bass": "../bass"}, "the name '../bass' for bass is not a file name"),
        ({"bass": "a\\b"}, "the name 'a\\\\b' for bass is not a file name"),
        ({"bass": "a\0b"}, "the name 'a\\x00b' for bass is not a file name"),
        ({"bass": 5}, "the name 5 for bass is not a file name"),
        ({"bass": "Drums"}, "drums and bass would have one file: Drums.wav"),
    ],
)
def test_invalid_names(tmp_path: Path, names: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Separator("htdemucs_tiny").split(song(1), tmp_path / "out", names=names)
    assert str(caught.value) == message
    assert not (tmp_path / "out").exists()
