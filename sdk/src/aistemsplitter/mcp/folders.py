"""The folders in which the tools may read songs and write stems."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from aistemsplitter._errors import ConfigurationError, FileError, InputError
from aistemsplitter._models import Split
from aistemsplitter._names import file_stem
from aistemsplitter._source import AUDIO_TYPES

EXTENSIONS = frozenset({*AUDIO_TYPES, "aifc", "alac", "caf", "m4b", "mkv", "mov", "w64"})
SEARCHED = 2_000  # files and folders that a search for songs visits at most
SUGGESTED = 20


class Folders:
    """Folders of songs, and the output folder.

    Args:
        songs: Folders in and below which audio files may be read; none if empty.
        out: Folder below which stems are written; None if none may be written.
        suggests: Whether errors name audio files that exist.

    Raises:
        ConfigurationError: A folder of songs does not exist.
    """

    def __init__(self, songs: Sequence[Path], out: Path | None, *, suggests: bool = True) -> None:
        self._suggests = suggests
        self.songs = tuple(_existing(folder) for folder in songs)
        self.out = None if out is None else Path(os.path.realpath(out))

    def find(self, song: str) -> Path:
        """Return the path of an audio file in one of the folders, with symbolic links resolved.

        Args:
            song: Absolute path, or one relative to a folder of songs.

        Raises:
            InputError: The file is elsewhere or is not an audio file. FileError: There is none.
        """
        try:
            name = Path(song).expanduser()
            # Unlike Path.resolve, realpath raises no error for a loop of links.
            candidates = [Path(os.path.realpath(folder / name)) for folder in self.songs]
        except (ValueError, RuntimeError) as problem:  # a null character; no such user
            raise InputError(f"{song!r} is not a path") from problem
        inside = [path for path in candidates if self._is_readable(path)]
        if not inside:
            raise InputError(
                f"{song}: outside the folders that may be read. The user allows only audio files"
                f" in {_listed(self.songs)}"
            )
        found = next((path for path in inside if os.path.lexists(path)), None)
        if found is None:
            raise FileError(
                f"{song}: there is no such file. {self._suggestion()}".rstrip(), path=song
            )
        if found.suffix[1:].lower() not in EXTENSIONS:
            raise InputError(f"{song}: not an audio file by its extension, so it is not read")
        return found

    @contextmanager
    def open(self, path: Path) -> Iterator[IO[bytes]]:
        """Open a file that ``find`` has returned. Blocks.

        Raises:
            FileError: It is not a regular file, or cannot be read.
        """
        # A link or a pipe that has replaced the file since is not opened, and not waited for.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            opened = os.open(path, flags | getattr(os, "O_BINARY", 0))
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise FileError(f"{path}: cannot be read: {reason}", path=path) from problem
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise FileError(f"{path}: is not a regular file", path=path)
        with os.fdopen(opened, "rb") as file:
            yield file

    def for_stems(self, split: Split) -> Path:
        """Return the folder for a split's stems, always the same one.

        Raises:
            InputError: No stems may be written, or a link leads out of the output folder.
        """
        song = file_stem(Path(split.filename or "song").stem)
        return self._below_out(f"{song} {file_stem(split.id)[-8:]}")

    def for_local(
        self, song: Path, model: str, stems: Sequence[str] | None, output_format: str
    ) -> Path:
        """Return the folder for the stems of a song that is split on this machine. Blocks.

        It is the same one for the same request, and another one once the song is changed.

        Raises:
            InputError: No stems may be written, or a link leads out of the output folder.
            FileError: There is no such song.
        """
        try:
            found = song.stat()
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise FileError(f"{song}: cannot be read: {reason}", path=song) from problem
        request = [str(song), found.st_size, found.st_mtime_ns, model, stems, output_format]
        digest = hashlib.sha256(json.dumps(request).encode()).hexdigest()
        folder = self._below_out(f"{file_stem(model)} {digest[:8]}")
        for path in folder.rglob("*"):
            if path.is_symlink():
                raise InputError(f"{path}: is a link, which may lead out of the output folder")
        return folder

    def _below_out(self, name: str) -> Path:
        if self.out is None:
            raise InputError("this server may not write files")
        folder = self.out / name
        if os.path.realpath(folder) != str(folder):
            raise InputError(f"{folder}: is a link that leads out of the output folder")
        return folder

    def _is_readable(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self.songs)

    def _suggestion(self) -> str:
        """Return a sentence that names some audio files; nothing if none may be named."""
        if not self._suggests:
            return ""
        names = list(islice(self._audio_files(), SUGGESTED))
        if not names:
            return f"There are no audio files in {_listed(self.songs)}"
        return f"Audio files in {_listed(self.songs)}: {', '.join(names)}"

    def _audio_files(self) -> Iterator[str]:
        """Yield paths of audio files relative to their folder of songs, those nearby first."""
        left = SEARCHED
        for root in self.songs:
            pending = [root]
            for folder in pending:
                try:
                    with os.scandir(folder) as entries:
                        found = sorted(islice(entries, left), key=lambda entry: entry.name)
                except OSError:
                    continue
                left -= len(found)
                for entry in found:
                    if entry.name.startswith(".") or entry.path == str(self.out):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    elif Path(entry.name).suffix[1:].lower() in EXTENSIONS:
                        yield str(Path(entry.path).relative_to(root))


def _existing(folder: Path) -> Path:
    resolved = Path(os.path.realpath(folder))
    if not resolved.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder. Choose another --folder")
    if resolved == Path(resolved.anchor):
        raise ConfigurationError(
            f"{resolved}: would allow a model to read all audio files of this machine. Choose the"
            " folder of your songs with --folder"
        )
    return resolved


def _listed(folders: Sequence[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
