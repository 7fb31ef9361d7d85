"""Output folders of the command: ``stems/<song>/``, one for each song.

A hidden file in each folder records the split and the song that its stems belong to.
"""

from __future__ import annotations

import json
import shlex
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
    """Split and song that the stems in a folder belong to.

    Attributes:
        split: Id of the split.
        song: Absolute path or URL of the song; None if only the split is known.
    """

    split: str
    song: str | None = None


class Folders:
    """Choice of the folders in one run of a command; no two songs share one.

    Args:
        out: Output folder that contains the folders of the songs.
        overwrite: True to reuse the folder of another song with the same name.
    """

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        self._out = out
        self._overwrite = overwrite
        self._taken: set[str] = set()

    def for_song(self, song: str) -> Path:
        """Return the folder for a song that is about to be submitted.

        Raises:
            InputError: The song was submitted before; submitting it again would charge it again.
        """
        source = _source(song)
        for folder in self._candidates(_name(song)):
            record = _read(folder)
            if not self._overwrite and record is not None and record.song == source:
                raise InputError(
                    f"{folder}: this song was already submitted as {record.split}. Download its"
                    f" stems with '{download_command(record.split, self._out)}', or split it"
                    " again with --overwrite"
                )
            if self._overwrite or _is_free(folder):
                return self._take(folder)
        raise AssertionError("unreachable: the candidates never end")

    def for_split(self, split_id: str, filename: str | None) -> Path:
        """Return the folder for a split's stems, the same one on every run."""
        for folder in self._candidates(_name(filename or split_id)):
            record = _read(folder)
            own = record is not None and record.split == split_id
            if self._overwrite or own or _is_free(folder):
                return self._take(folder)
        raise AssertionError("unreachable: the candidates never end")

    def record(self, folder: Path, split_id: str, song: str | None = None) -> None:
        """Create the folder and record the split and song that it belongs to."""
        found = _read(folder)
        if song is None and found is not None and found.split == split_id:
            return
        record = Record(split_id, None if song is None else _source(song))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RECORD).write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
        except OSError as error:
            reason = error.strerror or str(error)
            raise FileError(f"{folder}: the folder cannot be written to: {reason}") from error

    def _candidates(self, name: str) -> Iterator[Path]:
        """Yield ``name``, ``name-2``, ... without those that this run has already used."""
        for number in count(1):
            folder = self._out / (name if number == 1 else f"{name}-{number}")
            if _key(folder.name) not in self._taken:
                yield folder

    def _take(self, folder: Path) -> Path:
        self._taken.add(_key(folder.name))
        return folder


def download_command(split_id: str, out: Path) -> str:
    """Return the command that downloads a split's stems to its folder under ``out``."""
    return f"aistemsplitter download {split_id} -o {shlex.quote(str(out))}"


def _name(song: str) -> str:
    """Return a folder name for a file or URL: its last path segment without the extension."""
    if "://" in song:
        song = unquote(urlsplit(song).path)
    name = song.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return file_stem(Path(name).stem) if name.strip(" .") else "song"


def _source(song: str) -> str:
    return song if "://" in song else str(Path(song).absolute())


def _key(name: str) -> str:
    """Return a key that is equal for names that are the same on some file system."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_free(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{folder}: cannot be used: {reason}. Choose another --out") from error


def _read(folder: Path) -> Record | None:
    try:
        fields = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Record(str(fields["split"]), fields.get("song"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
