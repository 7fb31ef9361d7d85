"""Downloading stems: each into a partial file, resumed, checked, and renamed when it is whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aistemsplitter import _digests
from aistemsplitter._core import Session, logger
from aistemsplitter._effects import Listener, Operation, blocking, gather
from aistemsplitter._errors import (
    AiStemSplitterError,
    DiskFull,
    FileError,
    InputError,
    IntegrityError,
)
from aistemsplitter._models import Split, TransferProgress
from aistemsplitter._names import file_names
from aistemsplitter._operations import get_split
from aistemsplitter._part import Part
from aistemsplitter._transfer import Filling, Probe, transfer
from aistemsplitter._types import SplitId
from aistemsplitter._wait import raise_if_failed


def download_split(
    session: Session,
    split: SplitId,
    directory: str | os.PathLike[str],
    *,
    stems: Sequence[str] | None,
    overwrite: bool,
    parallel: int,
    timeout: float | None,
    on_progress: Callable[[TransferProgress], object] | None,
) -> Operation[dict[str, Path]]:
    """Download the stems of a split that succeeded; return their paths, in the split's order."""
    if isinstance(stems, str):
        raise InputError('stems= is a list of names, such as ["vocals"]')
    if parallel < 1:
        raise InputError("parallel= is the number of downloads at once, 1 or more")
    session = session.within(session.timeouts.total if timeout is None else timeout)
    # with_raw_response has an answer of the API to return, so one is asked for.
    if not isinstance(split, Split) or session.on_reply:
        split = yield from get_split(session, split)
    raise_if_failed(split)
    if not split.succeeded:
        raise InputError(f"{split.id} is {split.status}: wait_for_split first")
    wanted = list(split.stems) if stems is None else list(dict.fromkeys(stems))
    if missing := [stem for stem in wanted if stem not in split.stems]:
        raise InputError(f"{split.id} has {', '.join(split.stems)}, not {', '.join(missing)}")
    folder = Path(directory)
    yield from blocking(partial(_make_folder, folder))
    names = file_names(split.stems, split.output_format)  # of all: so a name depends on no choice
    jobs = [_Job(session, split, stem, folder / names[stem], overwrite) for stem in wanted]
    # Before the first byte, so that a folder with another song's stems stays as it is.
    present = yield from gather([_is_present(job) for job in jobs], parallel)
    listener = Listener(on_progress)
    yield from gather(
        [
            _download(job, listener)
            for job, is_there in zip(jobs, present, strict=True)
            if not is_there
        ],
        parallel,
    )
    return {job.stem: job.target for job in jobs}


@dataclass(frozen=True, slots=True)
class _Job:
    """One stem and where it goes."""

    session: Session
    split: Split
    stem: str
    target: Path
    overwrite: bool


def _is_present(job: _Job) -> Operation[bool]:
    """Return True if the target is this stem already; by length and checksum, not by its name.

    Raises:
        FileError: It is another file, or nothing proves that it is this stem.
    """
    if job.overwrite or not (yield from blocking(partial(os.path.lexists, job.target))):
        return False
    probe = Probe()
    yield from transfer(job.session, job.split, job.stem, probe)
    if (yield from blocking(partial(_matches, job.target, probe))):
        logger.debug("download %s: %s is complete", job.stem, job.target.name)
        return True
    raise _exists(job, known=probe.digest is not None)


def _matches(path: Path, probe: Probe) -> bool:
    try:
        if probe.digest is None or not path.is_file() or path.stat().st_size != probe.total:
            return False
        return _digests.of_file(path, probe.digest.algorithm) == probe.digest.digest
    except OSError:
        return False


def _exists(job: _Job, *, known: bool = True) -> FileError:
    what = f"is not {job.stem} of {job.split.id}"
    if not known:
        what = f"cannot be checked, because the storage announces no checksum of {job.stem}"
    return FileError(
        f"{job.target} exists and {what}. Choose another folder or pass overwrite=True.",
        code="FILE_EXISTS",
        path=job.target,
    )


def _download(job: _Job, listener: Listener[TransferProgress]) -> Operation[None]:
    part = Part(job.target.parent, job.split.id, job.stem)
    keep = True  # so that the next call continues where this one ended
    try:
        yield from blocking(part.open)
        yield from transfer(job.session, job.split, job.stem, Filling(job.stem, part, listener))
        yield from blocking(partial(part.publish, job.target, overwrite=job.overwrite))
        return
    except IntegrityError:
        keep = False
        raise
    except FileExistsError:
        failed: AiStemSplitterError = _exists(job)
    except OSError as problem:
        if isinstance(problem, AiStemSplitterError):  # DeadlineExceeded is both
            raise
        keep = problem.errno not in (errno.ENOSPC, errno.EDQUOT)
        kind = FileError if keep else DiskFull
        message = f"cannot write {job.target}: {problem.strerror or problem}"
        failed = kind(message, path=job.target, cause=problem)
    finally:
        part.close(keep=keep)  # not an effect: a cancelled operation cannot yield one
    raise failed


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        message = f"cannot make the folder {folder}: {problem.strerror or problem}"
        raise FileError(message, path=folder, cause=problem) from problem
