"""Record of what the stems in a folder were made from, so that no run keeps wrong ones.

A hidden file beside the stems names the song and, for each stem's file, the options of its run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aistemsplitter_engine.errors import OutputError
from aistemsplitter_engine.options import Precision
from aistemsplitter_engine.pipeline.model import find
from aistemsplitter_engine.weights.catalogue import ModelSpec
from aistemsplitter_engine.weights.combinations import Combination

if TYPE_CHECKING:
    from aistemsplitter_engine.cli.songs import Job
    from aistemsplitter_engine.pipeline.export import Export

RECORD = ".aistemsplitter-local.json"

Options = Mapping[str, Any]  # those of the command that determine the content of a stem's file


@dataclass(frozen=True, slots=True)
class Record:
    """The song whose stems a folder contains.

    Attributes:
        song: Absolute path of the song.
        size: Its size in bytes.
        modified: Time of its last change in nanoseconds.
        sha256: Digest of its content.
        stems: Options that each stem's file was made with, by its name.
    """

    song: str
    size: int
    modified: int
    sha256: str
    stems: dict[str, Options] = field(default_factory=dict)

    @classmethod
    def of(cls, song: Path) -> Record:
        """Return the record of a song without stems."""
        found = song.stat()
        return cls(str(song.absolute()), found.st_size, found.st_mtime_ns, _digest(song))

    def is_content_of(self, song: Path) -> bool:
        """Return whether the song is unchanged, or has the same content under another name."""
        found = song.stat()
        if found.st_size != self.size:
            return False
        unchanged = found.st_mtime_ns == self.modified and str(song.absolute()) == self.song
        return unchanged or (song.is_file() and _digest(song) == self.sha256)


def options_of(
    model: str,
    digest: str | None,
    config: Path | None,
    precision: Precision,
    shifts: int,
    seed: int | None,
    overlap: float,
    export: Export,
) -> Options:
    """Return the options of the command that determine the content of its files.

    ``digest`` is the :func:`digest_of` the model.
    """
    return {
        "model": model,
        **({} if digest is None else {"model-digest": digest}),
        **({} if config is None else {"config": _digest(config)[:16]}),
        "precision": precision,
        "shifts": shifts,
        "seed": seed if shifts else None,
        "overlap": overlap,
        "bit-depth": export.format.bit_depth,
        "bitrate": export.format.bitrate,
        "sample-rate": export.sample_rate,
        "mono": export.mono,
        "clip": export.clip,
        **({"normalize": export.normalize} if export.measures_loudness else {}),
    }


def digest_of(model: str) -> str | None:
    """Return a digest of a registered model or a combination, or None for another model.

    Its name may stand for another checkpoint or other weights later.

    Raises:
        ModelError: The model or its files do not exist.
    """
    found = find(model)
    if found is None or isinstance(found, ModelSpec):
        return None
    content: object
    if isinstance(found, Combination):
        content = [
            [step.stems, [(name, weight, digest_of(name)) for name, weight in step.weights.items()]]
            for step in found.steps
        ]
    else:
        content = [found.stems, found.check_files()]
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def choose_folder(job: Job) -> Path:
    """Return the folder for a job's stems: that with the song's stems, or one without a record.

    Raises:
        OutputError: Both have another song's.
    """
    found = [(folder, _read(folder)) for folder in (job.folder, job.other_folder)]
    for folder, record in found:
        if record is not None and _is_about(record, job.song):
            return folder
    for folder, record in found:
        if record is None:
            return folder
    raise OutputError(
        f"{job.song}: {job.folder} and {job.other_folder} contain other songs' stems; choose "
        "another output folder"
    )


def are_finished(folder: Path, song: Path, names: Sequence[str], options: Options) -> bool:
    """Return whether all stems exist and were made from this song with these options.

    Raises:
        OutputError: One exists that was made from something else.
    """
    try:
        existing = [name for name in names if (folder / name).is_file()]
        record = _read(folder)
        is_current = record is not None and record.is_content_of(song)
    except OSError:  # opening the song, or writing there, will report why
        return False
    for name in existing:
        if record is None or name not in record.stems:
            raise OutputError(
                f"{folder / name}: it is not known from which song this stem was made; replace "
                "it with --overwrite, or choose another output folder"
            )
        if not is_current:
            raise OutputError(
                f"{song}: has changed since its stems in {folder} were made; split it "
                "again with --overwrite"
            )
        made = record.stems[name]
        if made != options:
            others = ", ".join(
                f"{key} {made.get(key)}"
                for key in {**made, **options}
                if made.get(key) != options.get(key)
            )
            raise OutputError(
                f"{song}: its stems in {folder} were made with {others}; split it again "
                "with --overwrite, or choose another output folder"
            )
    return len(existing) == len(names)


def forget_replaced(folder: Path, song: Path, names: Sequence[str], options: Options) -> None:
    """Remove stems that are about to be replaced by different ones from the folder's record."""
    record = _read(folder)
    if record is None:
        return
    try:
        is_current = record.is_content_of(song)
    except OSError:  # such as standard input
        is_current = False
    for name in names:
        if not is_current or record.stems.get(name) != options:
            record.stems.pop(name, None)
    _write(folder, record)


def add(folder: Path, song: Path, names: Sequence[str], options: Options) -> None:
    """Record stems that have been written."""
    if not song.is_file():
        return
    record, found = Record.of(song), _read(folder)
    if found is not None and found.sha256 == record.sha256:
        record.stems.update(found.stems)
    record.stems.update(dict.fromkeys(names, options))
    _write(folder, record)


def _is_about(record: Record, song: Path) -> bool:
    if record.song == str(song.absolute()):
        return True
    try:
        return record.is_content_of(song)
    except OSError:  # opening the song will report why
        return False


def _read(folder: Path) -> Record | None:
    try:
        record = Record(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return record if isinstance(record.stems, dict) else None


def _write(folder: Path, record: Record) -> None:
    partial = folder / f"{RECORD}.{os.getpid()}"
    try:
        partial.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
        partial.replace(folder / RECORD)
    except OSError as error:
        raise OutputError(f"{folder / RECORD}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
