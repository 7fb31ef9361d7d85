"""Downloads of stems: into partial files that are resumed, verified and renamed when complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aistemsplitter import _digests
from aistemsplitter._core import Session
from aistemsplitter._effects import Listener, Operation, blocking, gather
from aistemsplitter._errors import (
    AiStemSplitterError,
    DiskFull,
    FileError,
    InputError,
    IntegrityError,
)
from aistemsplitter._logs import logger
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
    """Download the stems of a split that succeeded and return their paths, in the split's order."""
    if isinstance(stems, str):
        raise InputError('stems= must be a list of names, such as ["vocals"]')
    if parallel < 1:
        raise InputError("parallel= must be 1 or more")
    session = session.within(session.timeouts.total if timeout is None else timeout)
    # with_raw_response must return a response of the API, so the split is read again for it.
    if not isinstance(split, Split) or session.on_reply:
        split = yield from get_split(session, split)
    raise_if_failed(split)
    if not split.succeeded:
        raise InputError(f"{split.id} is still {split.status}: call wait_for_split first")
    wanted = list(split.stems) if stems is None else list(dict.fromkeys(stems))
    if missing := [stem for stem in wanted if stem not in split.stems]:
        available = ", ".join(split.stems)
        raise InputError(f"{split.id} has no {', '.join(missing)}; its stems are {available}")
    folder = Path(directory)
    yield from blocking(partial(_make_folder, folder))
    # Named among all stems, so that a stem's file name does not depend on the choice of stems.
    names = file_names(split.stems, split.output_format)
    jobs = [_Job(session, split, stem, folder / names[stem], overwrite) for stem in wanted]
    # Checked before the first download, so that a folder with another song's stems stays unchanged.
    present = yield from gather([_is_present(job) for job in jobs], parallel)
    missing_jobs = [job for job, found in zip(jobs, present, strict=True) if not found]
    listener = Listener(on_progress)
    yield from gather([_download(job, listener) for job in missing_jobs], parallel)
    return {job.stem: job.target for job in jobs}


@dataclass(frozen=True, slots=True)
class _Job:
    """The download of one stem to its target path."""

    session: Session
    split: Split
    stem: str
    target: Path
    overwrite: bool


def _is_present(job: _Job) -> Operation[bool]:
    """Return True if length and checksum prove that the target already is this stem.

    Raises:
        FileError: The target is another file, or cannot be verified.
    """
    if job.overwrite or not (yield from blocking(partial(os.path.lexists, job.target))):
        return False
    probe = Probe()
    yield from transfer(job.session, job.split, job.stem, probe)
    if (yield from blocking(partial(_matches, job.target, probe))):
        logger.debug("download of %s: %s is already complete", job.stem, job.target.name)
        return True
    raise _file_exists(job, verifiable=probe.digest is not None)


def _matches(path: Path, probe: Probe) -> bool:
    try:
        if probe.digest is None or not path.is_file() or path.stat().st_size != probe.total:
            return False
        return _digests.of_file(path, probe.digest.algorithm) == probe.digest.digest
    except OSError:
        return False


def _file_exists(job: _Job, *, verifiable: bool = True) -> FileError:
    problem = f"is not {job.stem} of {job.split.id}"
    if not verifiable:
        problem = f"cannot be verified, because the storage announces no checksum of {job.stem}"
    return FileError(
        f"{job.target} exists and {problem}. Choose another folder or pass overwrite=True",
        code="FILE_EXISTS",
        path=job.target,
    )


def _download(job: _Job, listener: Listener[TransferProgress]) -> Operation[None]:
    part = Part(job.target.parent, job.split.id, job.stem)
    keep = True  # so that the next call can resume the download
    try:
        yield from blocking(part.open)
        yield from transfer(job.session, job.split, job.stem, Filling(job.stem, part, listener))
        yield from blocking(partial(part.publish, job.target, overwrite=job.overwrite))
        return
    except IntegrityError:
        keep = False
        raise
    except FileExistsError:
        failed: AiStemSplitterError = _file_exists(job)
    except OSError as problem:
        if isinstance(problem, AiStemSplitterError):  # DeadlineExceeded is both
            raise
        keep = problem.errno not in (errno.ENOSPC, errno.EDQUOT)
        kind = FileError if keep else DiskFull
        message = f"{job.target}: cannot be written: {problem.strerror or problem}"
        failed = kind(message, path=job.target, cause=problem)
    finally:
        part.close(keep=keep)  # not an effect, because a cancelled operation cannot yield
    raise failed


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        message = f"{folder}: the folder cannot be created: {problem.strerror or problem}"
        raise FileError(message, path=folder, cause=problem) from problem
