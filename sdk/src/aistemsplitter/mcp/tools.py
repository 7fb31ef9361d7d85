"""The tools, each a few calls of the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, cast

import anyio
from mcp.server.mcpserver import Context
from pydantic import Field

from aistemsplitter._async_client import AsyncAiStemSplitter
from aistemsplitter._errors import WaitTimeout
from aistemsplitter._models import Split
from aistemsplitter._operations import reserve
from aistemsplitter._types import OutputFormat, SplitStatus, StemModelName
from aistemsplitter._upload import LARGE, upload
from aistemsplitter.mcp.folders import Folders
from aistemsplitter.mcp.guidance import tool_errors
from aistemsplitter.mcp.progress import Progress
from aistemsplitter.mcp.results import (
    Balance,
    Deleted,
    ModelInfo,
    Models,
    SplitList,
    SplitState,
    state_of,
)

# Many clients give up on a call after 60 s.
WAIT = 50.0
LONGEST_WAIT = 3600.0

Song = Annotated[
    str,
    Field(max_length=4096, description="Path of an audio file, absolute or relative to a folder"),
]
Url = Annotated[str, Field(max_length=4096, description="URL of an audio file, http or https")]
SplitId = Annotated[str, Field(max_length=200, description="Id of the split, such as split_01J...")]
ModelName = Annotated[
    str | None,
    Field(max_length=100, description="Name from list_models; the service's default if omitted"),
]
Stems = Annotated[
    list[str] | None,
    Field(max_length=50, description='Names of stems, such as ["vocals"]; all if omitted'),
]
Format = Annotated[OutputFormat, Field(description="File format of the stems")]
Preview = Annotated[
    int | None,
    Field(ge=1, le=60, description="Only the first seconds are split and charged, to try a model"),
]
Wait = Annotated[
    float,
    Field(gt=0, le=LONGEST_WAIT, description="Longest wait in seconds; the split goes on after it"),
]


class ServiceTools:
    """Tools that call the service.

    Args:
        client_of: Function that returns the client of a call's account.
        folders: Folders in which files may be read and written.
    """

    def __init__(
        self, client_of: Callable[[Context[Any, Any]], AsyncAiStemSplitter], folders: Folders
    ) -> None:
        self._client_of = client_of
        self._folders = folders

    async def split_file(
        self,
        context: Context[Any, Any],
        song: Song,
        model: ModelName = None,
        stems: Stems = None,
        output_format: Format = "wav",
        preview_seconds: Preview = None,
    ) -> SplitState:
        """Upload an audio file of this machine and start to split it into stems.

        Returns as soon as the file is uploaded. Call wait_for_split next. Each call is charged by
        the length that is split.
        """
        with tool_errors():
            client = self._client_of(context)
            path = await anyio.to_thread.run_sync(self._folders.find, song)
            with self._folders.open(path) as file:
                # The upload of a large file that was interrupted is continued under the same key.
                size = file.seek(0, 2)
                file.seek(0)
                operation = upload(
                    client._session,
                    reserve,
                    file,
                    filename=path.name,
                    key=f"mcp {path}" if size > LARGE else None,
                    on_progress=Progress(context).upload,
                )
                uploaded = await client._run(operation)
            return await self._submit(
                client, uploaded.input, model, stems, output_format, preview_seconds
            )

    async def split_url(
        self,
        context: Context[Any, Any],
        url: Url,
        model: ModelName = None,
        stems: Stems = None,
        output_format: Format = "wav",
        preview_seconds: Preview = None,
    ) -> SplitState:
        """Start to split the audio at a URL, which the service downloads, into stems.

        Returns at once. Call wait_for_split next. Each call is charged by the length that is split.
        """
        with tool_errors():
            client = self._client_of(context)
            audio = {"type": "direct_url", "url": url}
            return await self._submit(client, audio, model, stems, output_format, preview_seconds)

    async def wait_for_split(
        self, context: Context[Any, Any], split_id: SplitId, timeout_seconds: Wait = WAIT
    ) -> SplitState:
        """Wait until a split is done, and return its stems: paths on disk, or URLs.

        Reports progress. If the time is over first, the result has the current status: call again.
        """
        with tool_errors():
            client, progress = self._client_of(context), Progress(context)
            try:
                split = await client.wait_for_split(
                    split_id, timeout=timeout_seconds, on_progress=progress.separation
                )
            except WaitTimeout:
                return self._state(await client.get_split(split_id))
            if self._folders.out is None:
                return self._state(split)
            return await self._download(client, split, None, progress)

    async def download_stems(
        self, context: Context[Any, Any], split_id: SplitId, stems: Stems = None
    ) -> SplitState:
        """Download the stems of a split that has succeeded, and return their paths.

        Files that are complete are kept. An interrupted download continues where it stopped.
        """
        with tool_errors():
            client = self._client_of(context)
            split = await client.get_split(split_id)
            return await self._download(client, split, stems, Progress(context))

    async def get_split(self, context: Context[Any, Any], split_id: SplitId) -> SplitState:
        """Return the current state of a split."""
        with tool_errors():
            return self._state(await self._client_of(context).get_split(split_id))

    async def list_splits(
        self,
        context: Context[Any, Any],
        status: Annotated[SplitStatus | None, Field(description="Only in this status")] = None,
        limit: Annotated[int, Field(ge=1, le=100, description="Splits on the page")] = 20,
        cursor: Annotated[
            str | None, Field(max_length=1000, description="next_cursor of the previous page")
        ] = None,
    ) -> SplitList:
        """List the account's splits, newest first."""
        with tool_errors():
            client = self._client_of(context)
            page = await client.list_splits(limit=limit, cursor=cursor, status=status)
            states = [self._state(split) for split in page.items]
            if not self._folders.out:
                states = [_without_urls(state) for state in states]
            return SplitList(splits=states, next_cursor=page.next_cursor)

    async def list_models(self, context: Context[Any, Any]) -> Models:
        """List the models that can split songs, with their stems."""
        with tool_errors():
            found = await self._client_of(context).list_models()
            return Models(
                models=[
                    ModelInfo(
                        name=model.id,
                        stems=list(model.stems),
                        aliases=list(model.aliases),
                        installed=model.installed,
                    )
                    for model in found
                ]
            )

    async def get_credits(self, context: Context[Any, Any]) -> Balance:
        """Return the account's balance: one credit splits one second of audio."""
        with tool_errors():
            found = await self._client_of(context).get_credits()
            return Balance(credits=found.balance, unit=found.unit)

    async def cancel_split(self, context: Context[Any, Any], split_id: SplitId) -> SplitState:
        """Cancel a split that is not done yet. Its charge is refunded, its work is lost."""
        with tool_errors():
            return self._state(await self._client_of(context).cancel_split(split_id))

    async def delete_split(self, context: Context[Any, Any], split_id: SplitId) -> Deleted:
        """Delete a split and its audio from the service, for ever. Downloaded files are kept."""
        with tool_errors():
            found = await self._client_of(context).delete_split(split_id)
            return Deleted(split_id=found.id, deleted=found.deleted)

    async def _submit(
        self,
        client: AsyncAiStemSplitter,
        audio: dict[str, str],
        model: str | None,
        stems: list[str] | None,
        output_format: OutputFormat,
        preview_seconds: int | None,
    ) -> SplitState:
        # Not cancelled half-way, so that what is charged is certainly in the account's list.
        with anyio.CancelScope(shield=True):
            job = await client.create_split(
                input=audio,
                model=cast("StemModelName | None", model),
                stems=stems,
                output_format=output_format,
                options={"preview_seconds": preview_seconds} if preview_seconds else None,
            )
            submitted = Split(
                id=job.id,
                status=job.status,
                stem_model=model,
                credits_used=job.credits_used,
                created_at=job.created_at,
            )
            return self._state(submitted)
        raise AssertionError("unreachable: a shielded scope is not cancelled")

    async def _download(
        self,
        client: AsyncAiStemSplitter,
        split: Split,
        stems: list[str] | None,
        progress: Progress,
    ) -> SplitState:
        folder = await anyio.to_thread.run_sync(self._folders.for_stems, split)
        files = await client.download_split(
            split, folder, stems=stems, on_progress=progress.download
        )
        return state_of(split, writes_files=True, files=files)

    def _state(self, split: Split) -> SplitState:
        return state_of(split, writes_files=self._folders.out is not None)


def _without_urls(state: SplitState) -> SplitState:
    """Return a state for a list, which would be long with presigned URLs."""
    if not state.urls:
        return state
    following = "Call get_split for the URLs of its stems."
    return state.model_copy(update={"urls": {}, "next_step": following})
