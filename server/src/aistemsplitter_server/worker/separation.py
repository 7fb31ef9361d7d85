"""The job that separates a song and stores its stems."""

from __future__ import annotations

import shutil
from datetime import timedelta

from aistemsplitter_server.splits import options, service, sizes
from aistemsplitter_server.splits.analysis import Detected
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing
from aistemsplitter_server.worker import analysis, checkpoints, shortages, work_folder
from aistemsplitter_server.worker.attempt import (
    Attempt,
    Draining,
    ModelMissing,
    SplitFailed,
    ending,
    tidy,
)
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.engine import Failed, Result, Stopped
from aistemsplitter_server.worker.engines import Engines
from aistemsplitter_server.worker.separating import OUT_OF_DISK, OUT_OF_MEMORY, Task

# Seconds that a song waits in a paused worker, before another one may take it.
HELD = 60.0


HUGE = 10 << 30  # bytes of stems, more than those of ordinary songs
COSTLY = {"shifts", "seed", "overlap"}  # options that test keys, which pay nothing, do not get


def separate(context: WorkerContext, engines: Engines, split_id: str) -> None:
    """Separate a split's song."""
    if not context.shortages.wait(context.stopping, HELD):
        if context.stopping.is_set():
            raise Draining
        context.write(lambda session: service.hand_back(session, split_id))
        return
    split = context.write(lambda session: service.begin(session, split_id, context.worker_id))
    if split is None:
        tidy(context, split_id)
        return
    attempt = Attempt(context, split)
    with ending(context, attempt), context.use.counted():
        _separate(context, engines, attempt)


def _separate(context: WorkerContext, engines: Engines, attempt: Attempt) -> None:
    split, number = attempt.split, attempt.number
    with work_folder.of(context.settings.data, split.id, number) as folder:
        try:
            with (
                context.storage.local_path(keys.source(split.id, split.upload_id)) as song,
                checkpoints.kept(context, attempt, folder),
            ):
                task = Task(
                    song=str(song),
                    name=split.filename,
                    folder=str(folder / work_folder.STEMS),
                    model=split.served_by,
                    stems=split.stems,
                    format=split.output_format,
                    seconds=options.excerpt(split),
                    duration=split.duration_seconds,
                    options=options.of(split.options).model_dump(
                        exclude=COSTLY if split.is_test else None
                    ),
                )
                result = engines.separate(task, attempt.progress, attempt.should_stop)
                detected = analysis.analyse(
                    folder,
                    result.files,
                    song,
                    options.separated_seconds(split),
                    attempt.should_stop,
                )
        except Missing:
            raise SplitFailed("INPUT_UNREACHABLE", "The song no longer exists.") from None
        except Stopped:
            raise attempt.stopped() from None
        except Failed as error:
            attempt.check()  # a suspended attempt that was superseded has lost its folder
            if error.code == OUT_OF_DISK:
                _check_size(context, split)
                raise shortages.of_disk(context.settings.data, str(error)) from None
            if error.code == OUT_OF_MEMORY:
                raise shortages.of_memory(str(error)) from None
            if error.code == "MODEL_UNAVAILABLE":
                context.abilities.failed(split.served_by)
                raise ModelMissing(str(error)) from None
            if error.code == "INTERNAL":
                raise
            raise SplitFailed(error.code, str(error)) from None
        _store(context, attempt, result, detected)


def _check_size(context: WorkerContext, split: Split) -> None:
    """Fail a split whose stems this disk cannot hold even when empty, instead of waiting for room.

    A disk that is too small for ordinary songs is waited for: it may be enlarged.
    """
    if sizes.of_stems(split) > max(HUGE, shutil.disk_usage(context.settings.data).total):
        raise SplitFailed(
            "LIMIT_EXCEEDED",
            "The stems are too large for this service. Choose fewer stems, a lower sample rate or"
            " bit depth, or a compressed format.",
        )


def _store(
    context: WorkerContext, attempt: Attempt, result: Result, detected: Detected | None
) -> None:
    """Store the stems under this attempt's prefix, and mark the split as succeeded."""
    split, number = attempt.split, attempt.number
    size = 0
    try:
        for stem, path in result.files.items():
            key = keys.stem(split.id, number, stem, split.extension)
            size += path.stat().st_size
            context.put_file(key, path)
        context.write(
            lambda session: service.succeed(
                session,
                split.id,
                number,
                sample_rate=result.sample_rate,
                gain=result.gain,
                warnings=[*result.warnings, *_turned_down(result)],
                retention=timedelta(hours=context.settings.retention_hours),
                stored_bytes=size,
                detected=detected,
            )
        )
    except BaseException:
        context.storage.delete_prefix(keys.attempt(split.id, number))
        raise
    context.use.add_audio(result.seconds)
    context.shortages.end()
    context.abilities.succeeded(split.served_by)


def _turned_down(result: Result) -> list[str]:
    share = result.gain / result.loudness_gain
    if share == 1:
        return []
    return [f"All stems were attenuated to {share:.3g} of their level to stay within full scale."]
