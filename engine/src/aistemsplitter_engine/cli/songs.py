"""The songs that a command line names, and the folder for the stems of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aistemsplitter_engine.cli.folder_names import OutputFileSystem, comparable
from aistemsplitter_engine.cli.standard_input import STANDARD_INPUT

# Files in folders with these extensions are songs; a file that is named itself may have any.
EXTENSIONS = (
    *(".aac", ".aif", ".aifc", ".aiff", ".alac", ".caf", ".flac", ".m4a", ".m4b", ".mka", ".mkv"),
    *(".mov", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".w64", ".wav", ".webm", ".wma"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A song and the folder for its stems.

    Attributes:
        other_folder: Folder to use instead if the first one has another song's stems.
    """

    song: Path
    folder: Path
    other_folder: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """A song or a folder that cannot be split, and the reason."""

    path: Path
    reason: str


def find_jobs(paths: Sequence[Path], output: Path) -> tuple[list[Job], list[Problem]]:
    """Return a job for each song in the files and folders, and the problems with the others.

    Songs in subfolders keep their relative path. Songs that would share a folder on any common file
    system, as ``a.wav`` and ``A.mp3`` would, keep their extension in its name. A name that the
    output's file system cannot hold is replaced. That of standard input, ``-``, is
    ``stdin``.
    """
    places: dict[Path, Path] = {}  # of each song, relative to the output folder
    problems: list[Problem] = []
    for path in paths:
        if path == STANDARD_INPUT:
            places[path] = Path("stdin")
        elif not _is_folder(path):
            places[path] = Path(path.name)
        elif _is_same(path, output):
            problems.append(Problem(path, f"is also the output folder; choose {path / 'stems'}"))
        else:
            songs, unreadable = _search(path, output)
            places |= {song: song.relative_to(path) for song in songs}
            problems += unreadable
            if not songs and not unreadable:
                known = ", ".join(EXTENSIONS)
                problems.append(Problem(path, f"holds no audio files ({known})"))
    file_system = OutputFileSystem(output)
    short = {song: file_system.fitted(_without_extension(place)) for song, place in places.items()}
    sharing = Counter(map(comparable, short.values()))
    jobs: dict[tuple[str, ...], Job] = {}
    for song, place in places.items():
        alone = sharing[comparable(short[song])] == 1
        long = file_system.fitted(place)
        below = short[song] if alone else long
        other = jobs.setdefault(comparable(below), Job(song, output / below, output / long))
        if other.song != song:
            reason = (
                f"its stems would go to {output / below}, like those of {other.song};"
                " split it separately, into another output folder"
            )
            problems.append(Problem(song, reason))
    return list(jobs.values()), problems


def _search(folder: Path, output: Path) -> tuple[list[Path], list[Problem]]:
    """Find the songs below a folder and the folders that cannot be read.

    Left out are hidden files, links to folders (they may lead in circles) and the output folder.
    """
    songs: list[Path] = []
    unreadable: list[Problem] = []
    folders = [folder]
    while folders:
        here = folders.pop()
        try:
            entries = [path for path in here.iterdir() if not path.name.startswith(".")]
        except OSError as error:
            unreadable.append(Problem(here, error.strerror or str(error)))
            continue
        for path in entries:
            if _is_folder(path):
                if not path.is_symlink() and not _is_same(path, output):
                    folders.append(path)
            elif path.suffix.lower() in EXTENSIONS:
                songs.append(path)
    return sorted(songs), unreadable


def _without_extension(place: Path) -> Path:
    if place.suffix.lower() not in EXTENSIONS or place.stem in (".", ".."):
        return place
    return place.with_name(place.stem)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # opening it will report why
        return False


def _is_same(path: Path, output: Path) -> bool:
    try:
        return path.samefile(output)
    except OSError:  # the output folder does not exist yet
        return False
