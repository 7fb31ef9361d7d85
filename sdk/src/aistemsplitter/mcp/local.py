"""The tools without a service: songs are split on this machine, one after the other."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.abc
from mcp.server.mcpserver import Context

from aistemsplitter._errors import AiStemSplitterError, InputError
from aistemsplitter.mcp import engine
from aistemsplitter.mcp.folders import Folders
from aistemsplitter.mcp.guidance import tool_errors
from aistemsplitter.mcp.results import ModelInfo, Models, SplitList, SplitState
from aistemsplitter.mcp.tools import WAIT, Format, ModelName, Song, SplitId, Stems, Wait

DEFAULT_MODEL = "htdemucs_ft"
LONGEST_QUEUE = 100
REMEMBERED = 1000  # splits that are done
INTERVAL = 0.5  # seconds between progress notifications


@dataclass(slots=True, eq=False, kw_only=True)
class _Job:
    """A split on this machine."""

    song: Path
    folder: Path
    model: str
    id: str = field(default_factory=lambda: f"local_{secrets.token_hex(8)}")
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: Literal["queued", "processing", "succeeded", "failed"] = "queued"
    fraction: float = 0.0
    files: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    cancelling: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    done: anyio.Event = field(default_factory=anyio.Event)


class LocalTools:
    """Tools that run the engine.

    Args:
        folders: Folders in which files may be read and written.
        tasks: Task group in which songs are split.
    """

    def __init__(self, folders: Folders, tasks: anyio.abc.TaskGroup) -> None:
        self._folders = folders
        self._tasks = tasks
        self._jobs: dict[str, _Job] = {}
        self._turn = anyio.Lock()  # first come, first served

    async def split_file(
        self,
        song: Song,
        model: ModelName = DEFAULT_MODEL,
        stems: Stems = None,
        output_format: Format = "wav",
    ) -> SplitState:
        """Start to split an audio file into stems on this machine.

        Returns at once. Call wait_for_split next.
        """
        with tool_errors():
            path = await anyio.to_thread.run_sync(self._folders.find, song)
            with self._folders.open(path):
                pass  # not a folder, in which the engine would look for songs
            # A name only: the engine would also accept the path of any file.
            model = model or DEFAULT_MODEL
            known = {
                name: each
                for each in await engine.models()
                for name in (each["name"], *each["aliases"])
            }
            if model not in known:
                raise InputError(f"{model}: there is no such model. Call list_models for the names")
            if not known[model]["installed"]:
                raise InputError(
                    f"{model}: not installed. Choose another one of list_models, or ask the user to"
                    f" run 'aistemsplitter-local models install {model}'"
                )
            if sum(not job.done.is_set() for job in self._jobs.values()) >= LONGEST_QUEUE:
                raise InputError("too many songs are queued. Wait until some are done")
            folder = await anyio.to_thread.run_sync(
                self._folders.for_local, path, model, stems, output_format
            )
            job = _Job(song=path, folder=folder, model=model)
            self._jobs[job.id] = job
            self._forget()
            self._tasks.start_soon(self._split, job, stems, output_format)
            return self._state(job)

    async def wait_for_split(
        self, context: Context[Any, Any], split_id: SplitId, timeout_seconds: Wait = WAIT
    ) -> SplitState:
        """Wait until a split is done, and return the paths of its stems.

        Reports progress. If the time is over first, the result has the current status: call again.
        """
        with tool_errors():
            job = self._find(split_id)
            reported = -1.0
            with anyio.move_on_after(timeout_seconds):
                while True:
                    if job.fraction > reported:
                        reported = job.fraction
                        await context.report_progress(reported, 1.0, job.status)
                    if job.done.is_set():
                        break
                    with anyio.move_on_after(INTERVAL):
                        await job.done.wait()
            if job.error is not None:
                raise AiStemSplitterError(job.error, code="SPLIT_FAILED")
            return self._state(job)

    async def get_split(self, split_id: SplitId) -> SplitState:
        """Return the current state of a split."""
        with tool_errors():
            return self._state(self._find(split_id))

    async def list_splits(self) -> SplitList:
        """List the splits since this server has started, newest first."""
        return SplitList(splits=[self._state(job) for job in reversed(self._jobs.values())])

    async def list_models(self) -> Models:
        """List the models that can split songs on this machine, with their stems."""
        with tool_errors():
            return Models(
                models=[
                    ModelInfo(
                        name=each["name"],
                        stems=each["stems"],
                        aliases=each["aliases"],
                        installed=each["installed"],
                    )
                    for each in await engine.models()
                ]
            )

    async def cancel_split(self, split_id: SplitId) -> SplitState:
        """Cancel a split that is not done yet."""
        with tool_errors():
            job = self._find(split_id)
            if job.done.is_set():
                raise InputError(f"{split_id} is already {job.status}")
            job.cancelling.cancel()
            await job.done.wait()
            return self._state(job)

    async def _split(self, job: _Job, stems: list[str] | None, output_format: str) -> None:
        try:
            with job.cancelling:
                async with self._turn:
                    job.status = "processing"
                    job.files = await engine.split(
                        job.song,
                        job.folder,
                        model=job.model,
                        stems=stems,
                        output_format=output_format,
                        on_progress=partial(setattr, job, "fraction"),
                    )
                    job.status, job.fraction = "succeeded", 1.0
        except (AiStemSplitterError, OSError, LookupError, ValueError) as error:
            job.error = error.message if isinstance(error, AiStemSplitterError) else str(error)
        finally:
            if job.status != "succeeded":
                job.status, job.error = "failed", job.error or "canceled"
            job.done.set()

    def _find(self, split_id: str) -> _Job:
        job = self._jobs.get(split_id)
        if job is None:
            raise InputError(f"{split_id}: there is no such split. Call list_splits for their ids")
        return job

    def _forget(self) -> None:
        """Forget the oldest splits that are done."""
        done = [job for job in self._jobs.values() if job.done.is_set()]
        for job in done[: max(0, len(done) - REMEMBERED)]:
            del self._jobs[job.id]

    def _state(self, job: _Job) -> SplitState:
        following = "Call wait_for_split with this split_id."
        if job.done.is_set():
            following = "Tell the user " + ("the reason." if job.error else "where the stems are.")
        return SplitState(
            split_id=job.id,
            status=job.status,
            next_step=following,
            song=job.song.name,
            model=job.model,
            progress=job.fraction,
            created_at=job.created_at,
            error=job.error,
            stems=list(job.files),
            files=job.files,
        )
