"""Which songs a command line means, and the folder that each one's stems land in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# What is taken for a song inside a folder; a file that is named itself may be called anything.
EXTENSIONS = (
    *(".aac", ".aif", ".aifc", ".aiff", ".alac", ".caf", ".flac", ".m4a", ".m4b", ".mka", ".mkv"),
    *(".mov", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".w64", ".wav", ".webm", ".wma"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A song and the folder for its stems."""

    song: Path
    folder: Path


def find_jobs(paths: Sequence[Path], output: Path) -> tuple[list[Job], list[str]]:
    """Resolve files and folders into jobs, and a line for each folder that holds no song.

    Songs of a folder keep their place in it. Songs that would share a folder, as ``a.wav`` and
    ``a.mp3`` would, keep their extension in its name.
    """
    found: list[tuple[Path, Path]] = []  # song, and its place below the output
    problems: list[str] = []
    for path in paths:
        if not path.is_dir():
            found.append((path, Path(path.name)))
            continue
        songs = list(_songs(path, output))
        found.extend((song, song.relative_to(path)) for song in songs)
        if not songs:
            problems.append(f"{path}: holds no audio files ({', '.join(EXTENSIONS)})")
    songs_once = dict(found)
    stems = Counter(place.with_suffix("") for place in songs_once.values())
    jobs = []
    for song, place in songs_once.items():
        name = place.with_suffix("") if stems[place.with_suffix("")] == 1 else place
        jobs.append(Job(song, output / name))
    return jobs, problems


def _songs(folder: Path, output: Path) -> Iterator[Path]:
    """Walk a folder, leaving out hidden files and the stems of earlier runs below it."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.resolve() == output.resolve():
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _songs(path, output)
        elif path.suffix.lower() in EXTENSIONS and path.is_file():
            yield path
