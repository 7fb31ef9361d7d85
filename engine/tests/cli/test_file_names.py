"""Templates for the names of stems' files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aistemsplitter_engine.cli.file_names import NameTemplate
from aistemsplitter_engine.cli.folder_names import OutputFileSystem
from aistemsplitter_engine.cli.records import RECORD
from aistemsplitter_engine.errors import OptionError
from cli_songs import split, tree, write_song
from stem_files import STEMS


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{artist} {stem}", "has the unknown field 'artist'; use {song} and {stem}"),
        ("{}", "has the unknown field ''; use {song} and {stem}"),
        ("{stem.__class__}", "has the unknown field 'stem.__class__'; use {song} and {stem}"),
        ("{stem!r}", "has the unknown field 'stem'; use {song} and {stem}"),
        ("{stem:>99}", "has the unknown field 'stem'; use {song} and {stem}"),
        ("{stem", "expected '}' before end of string; braces are written {{ and }}"),
        ("{song}/{stem}", "contains /; --output names the folder"),
        ("..\\{stem}", "contains \\; --output names the folder"),
        ("{stem}?", "contains '?', which not all file systems accept"),
        ("{stem}\n", "contains '\\n', which not all file systems accept"),
        ("", "is empty"),
        (" . ", "is empty"),
        ("Con", "is the name of a device, which not all file systems accept"),
        ("aux.{stem}", "is the name of a device, which not all file systems accept"),
        ("x" * 101, "is longer than 100 bytes"),
    ],
)
def test_invalid_templates(template: str, reason: str) -> None:
    with pytest.raises(OptionError) as caught:
        NameTemplate(template)
    assert str(caught.value) == f"the name {template!r}: {reason}"


def test_names_must_be_distinct() -> None:
    template = NameTemplate("{song}")
    template.check(["vocals"])
    with pytest.raises(OptionError) as caught:
        template.check(STEMS)
    assert str(caught.value) == (
        "the name '{song}': lacks {stem}, so drums and bass would be one file"
    )


@pytest.mark.parametrize("song", ["ü" * 127, "x" * 255])
def test_a_long_song_is_cut_but_not_the_stem(tmp_path: Path, song: str) -> None:
    template = NameTemplate("{song} - {song} ({stem})")
    names = template.names(song, STEMS, "flac", OutputFileSystem(tmp_path))
    assert {name[name.index("(") :] for name in names.values()} == {f"({s})" for s in STEMS}
    for name in names.values():
        assert len(os.fsencode(f"{name}.flac")) <= 255
        (tmp_path / f"{name}.flac").touch()


@pytest.mark.usefixtures("fakes")
def test_the_command(tmp_path: Path) -> None:
    song, out = write_song(tmp_path / "{stem} 100%.wav"), tmp_path / "out"
    options = ["--stems", "bass,vocals", "--name", "{song} {{x}} ({stem})"]
    code, _, err = split(song, "-o", out, *options)
    assert (code, err) == (0, "")
    folder = "{stem} 100%"
    assert tree(out) == {
        folder,
        f"{folder}/{{stem}} 100% {{x}} (bass).wav",
        f"{folder}/{{stem}} 100% {{x}} (vocals).wav",
        f"{folder}/{RECORD}",
    }
    assert "skipped" in split(song, "-o", out, *options)[1]
    assert "skipped" not in split(song, "-o", out, "--stems", "bass")[1]


@pytest.mark.usefixtures("fakes")
def test_the_command_reports_an_invalid_name(tmp_path: Path) -> None:
    code, said, err = split("a.wav", "-o", tmp_path / "out", "--name", "{song}")
    assert (code, said) == (1, "")
    assert err == ("Error: the name '{song}': lacks {stem}, so drums and bass would be one file\n")
