"""One folder for each song under the output folder: ``stems/<song>/``, never shared by two.

A hidden file in each folder records which split and which song the stems in it belong to.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aistemsplitter._errors import FileError, InputError
from aistemsplitter._names import file_stem

RECORD = ".aistemsplitter.json"


@dataclass(frozen=True, slots=True)
class Record:
    """Whose stems a folder holds.

    Attributes:
        song: Absolute path or URL of the song; None if only the split is known.
    """

    split: str
    song: str | None = None


class Folders:
    """The folders of one run of a command.

    Args:
        out: The folder above them.
        overwrite: Replace what an earlier run wrote for a song of the same name.
    """

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        self._out = out
        self._overwrite = overwrite
        self._taken: set[str] = set()

    def for_song(self, song: str) -> Path:
        """Return the folder for a song that is about to be submitted.

        Raises:
            InputError: The song was submitted before; to submit it again would charge it again.
        """
        source = _source(song)
        for folder in self._candidates(_name(song)):
            record = _read(folder)
            if not self._overwrite and record is not None and record.song == source:
                raise InputError(
                    f"{folder} holds {record.split} of this song. Fetch its stems with"
                    f" 'aistemsplitter download {record.split}', or split it again with"
                    " --overwrite."
                )
            if self._overwrite or _is_free(folder):
                return self._take(folder)
        raise AssertionError("unreachable: the candidates never end")

    def for_split(self, split_id: str, filename: str | None) -> Path:
        """Return the folder for the stems of a split, the same one each time."""
        for folder in self._candidates(_name(filename or split_id)):
            record = _read(folder)
            own = record is not None and record.split == split_id
            if self._overwrite or own or _is_free(folder):
                return self._take(folder)
        raise AssertionError("unreachable: the candidates never end")

    def record(self, folder: Path, split_id: str, song: str | None = None) -> None:
        """Make the folder and record whose stems it will hold."""
        found = _read(folder)
        if song is None and found is not None and found.split == split_id:
            return
        record = Record(split_id, None if song is None else _source(song))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RECORD).write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
        except OSError as error:
            reason = error.strerror or str(error)
            raise FileError(f"cannot write to the folder {folder}: {reason}") from error

    def _candidates(self, name: str) -> Iterator[Path]:
        """Yield ``name``, ``name-2``, ... as far as this run has not used them."""
        for number in count(1):
            folder = self._out / (name if number == 1 else f"{name}-{number}")
            if _key(folder.name) not in self._taken:
                yield folder

    def _take(self, folder: Path) -> Path:
        self._taken.add(_key(folder.name))
        return folder


def _name(song: str) -> str:
    """Return a folder name for a file or URL: its last part without the extension."""
    if "://" in song:
        song = unquote(urlsplit(song).path)
    name = song.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return file_stem(Path(name).stem) if name.strip(" .") else "song"


def _source(song: str) -> str:
    return song if "://" in song else str(Path(song).absolute())


def _key(name: str) -> str:
    """Return what names have in common that are the same on some file system."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_free(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError as error:
        raise FileError(f"cannot use {folder}: {error.strerror or error}") from error


def _read(folder: Path) -> Record | None:
    try:
        fields = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Record(str(fields["split"]), fields.get("song"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
