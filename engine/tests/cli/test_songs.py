"""Songs that a command line selects, and the destinations of their stems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aistemsplitter_engine.cli.songs import Problem, find_jobs

OUT = Path("out")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def find(*paths: str, output: Path = OUT) -> tuple[dict[str, str], list[Problem]]:
    jobs, problems = find_jobs([Path(path) for path in paths], output)
    return {str(job.song): str(job.folder) for job in jobs}, problems


def test_files_are_used_as_named() -> None:
    """Named files are songs whatever their extension; missing ones are reported when opened."""
    jobs, problems = find("a.mp3", "music/b.final.wav", "notes.txt", "noise", "music/.hidden.wav")
    assert problems == []
    assert jobs == {
        "a.mp3": "out/a",
        "music/b.final.wav": "out/b.final",
        "notes.txt": "out/notes.txt",
        "noise": "out/noise",
        "music/.hidden.wav": "out/.hidden",
    }


def test_a_folder_keeps_its_structure() -> None:
    make("m/b.wav", "m/a.FLAC", "m/x/1.mp3", "m/x/y/2.webm", "m/cover.jpg", "m/x/list.m3u")
    make("m/.hidden.wav", "m/.git/3.wav", "m/album.wav/4.wav")
    assert find("m") == (
        {
            "m/a.FLAC": "out/a",
            "m/album.wav/4.wav": "out/album.wav/4",
            "m/b.wav": "out/b",
            "m/x/1.mp3": "out/x/1",
            "m/x/y/2.webm": "out/x/y/2",
        },
        [],
    )
    jobs, _ = find("m/x", "m/b.wav")
    assert jobs == {"m/x/1.mp3": "out/1", "m/x/y/2.webm": "out/y/2", "m/b.wav": "out/b"}


def test_songs_are_sorted_by_name() -> None:
    make(*(f"m/{name}.wav" for name in "cab"), "m/b/z.wav")
    jobs, _ = find("z.wav", "m")
    assert list(jobs) == ["z.wav", "m/a.wav", "m/b/z.wav", "m/b.wav", "m/c.wav"]


def test_songs_of_one_name_keep_their_extensions() -> None:
    make("m/a.wav", "m/a.mp3", "m/b.wav", "m/x/a.wav")
    jobs, problems = find("m")
    assert problems == []
    assert jobs == {
        "m/a.mp3": "out/a.mp3",
        "m/a.wav": "out/a.wav",
        "m/b.wav": "out/b",
        "m/x/a.wav": "out/x/a",
    }


def test_songs_of_one_name_from_several_folders() -> None:
    make("m/a.wav", "n/a.wav", "n/b.wav")
    jobs, problems = find("m", "n")
    assert jobs == {"m/a.wav": "out/a.wav", "n/b.wav": "out/b"}
    reason = (
        "its stems would go to out/a.wav, like those of m/a.wav;"
        " split it separately, into another output folder"
    )
    assert problems == [Problem(Path("n/a.wav"), reason)]


def test_a_song_that_is_named_twice() -> None:
    make("m/a.wav")
    assert find("m/a.wav", "m", "./m/a.wav") == ({"m/a.wav": "out/a"}, [])


def test_names_that_would_escape_from_the_folder() -> None:
    make("m/...wav", "m/..wav")
    assert find("m")[0] == {}  # hidden
    assert find("m/...wav", "m/..wav")[0] == {"m/...wav": "out/...wav", "m/..wav": "out/..wav"}


def test_the_output_folder_is_not_searched_for_songs() -> None:
    make("m/a.wav", "m/stems/a/vocals.wav", "m/x/b.wav")
    assert find("m", output=Path("m/stems"))[0] == {
        "m/a.wav": "m/stems/a",
        "m/x/b.wav": "m/stems/x/b",
    }
    Path("link").symlink_to("m/stems")
    assert find("m", output=Path("link"))[0] == {"m/a.wav": "link/a", "m/x/b.wav": "link/x/b"}


@pytest.mark.parametrize("output", ["m", "./m", "m/../m", "link"])
def test_the_output_cannot_be_the_folder_of_songs(output: str) -> None:
    """The next run would take the stems for songs."""
    make("m/a.wav")
    Path("link").symlink_to("m")
    reason = "is also the output folder; choose m/stems"
    assert find("m", output=Path(output)) == ({}, [Problem(Path("m"), reason)])


def test_links() -> None:
    """A link to a song is a song; links to folders are followed only if named, to avoid cycles."""
    make("m/a.wav", "other/b.wav")
    Path("m/round").symlink_to(".")
    Path("m/other").symlink_to("../other")
    Path("m/song.wav").symlink_to("../other/b.wav")
    Path("m/self.wav").symlink_to("self.wav")
    Path("m/nowhere.wav").symlink_to("nowhere")
    jobs, problems = find("m")
    assert list(jobs) == ["m/a.wav", "m/nowhere.wav", "m/self.wav", "m/song.wav"]
    assert problems == []
    assert list(find("m/other")[0]) == ["m/other/b.wav"]


def test_a_folder_without_songs() -> None:
    make("m/readme.txt", "m/x/y.jpg")
    _, (problem,) = find("m")
    assert problem.path == Path("m")
    assert problem.reason.startswith("holds no audio files (.aac, .aif, ")


def test_a_folder_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    make("m/a.wav", "m/closed/b.wav", "m/z/c.wav")
    iterdir = Path.iterdir

    def refuse(self: Path) -> object:
        if self.name == "closed":
            raise PermissionError(13, "Permission denied")
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    jobs, problems = find("m")
    assert list(jobs) == ["m/a.wav", "m/z/c.wav"]
    assert problems == [Problem(Path("m/closed"), "Permission denied")]
    _, problems = find("m/closed")
    assert problems == [Problem(Path("m/closed"), "Permission denied")]


def test_names_that_the_system_rejects() -> None:
    name = "x" * 300 + ".wav"
    assert find(name)[0] == {name: "out/" + "x" * 255}


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["Song.wav", "song.mp3"], ["out/Song.wav", "out/song.mp3"]),
        (["Stra\u00dfe.wav", "STRASSE.mp3"], ["out/Stra\u00dfe.wav", "out/STRASSE.mp3"]),
        (["\u00e9.wav", "e\u0301.mp3"], ["out/\u00e9.wav", "out/e\u0301.mp3"]),
        (["Song.wav", "Song..mp3"], ["out/Song.wav", "out/Song..mp3"]),
        (["a/Song.wav", "A/b.wav"], ["out/Song", "out/b"]),
    ],
)
def test_names_that_are_equal_on_some_file_systems(names: list[str], folders: list[str]) -> None:
    jobs, problems = find(*names)
    assert problems == []
    assert list(jobs.values()) == folders


def test_two_songs_with_names_that_are_equal_on_some_file_systems() -> None:
    jobs, (problem,) = find("Song.wav", "song.wav")
    assert list(jobs) == ["Song.wav"]
    assert problem.path == Path("song.wav")


def test_names_that_the_output_folder_cannot_store(exfat: Path) -> None:
    Path("m").mkdir()
    for name in ("What?.wav", 'A "B".wav', "What_.mp3", "plain.wav"):
        Path("m", name).touch()
    jobs, problems = find("m", output=exfat / "stems")
    assert problems == []
    assert jobs == {
        "m/What?.wav": f"{exfat}/stems/What_.wav",
        'm/A "B".wav': f"{exfat}/stems/A _B_",
        "m/What_.mp3": f"{exfat}/stems/What_.mp3",
        "m/plain.wav": f"{exfat}/stems/plain",
    }
    assert [*exfat.iterdir()] == []
    assert find("m/What?.wav")[0] == {"m/What?.wav": "out/What?"}


def test_a_name_that_is_too_long_keeps_its_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pathconf", lambda *_: 143, raising=False)
    long = "\u97f3" * 60
    jobs, _ = find(f"{long}.wav", f"{long}.mp3")
    assert jobs == {f"{long}.{kind}": f"out/{long[:46]}.{kind}" for kind in ("wav", "mp3")}
