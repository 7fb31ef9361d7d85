"""Results of the tools, whose JSON schemas the server publishes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, Field

from aistemsplitter._models import Analysis, Split


class SplitState(BaseModel):
    """State of a split."""

    split_id: str
    status: str = Field(description="queued, processing, succeeded or failed")
    next_step: str = Field(description="What to do next")
    song: str | None = Field(default=None, description="File name of the song")
    model: str | None = None
    progress: float | None = Field(default=None, description="Fraction done, 0 to 1")
    queue_position: int | None = Field(default=None, description="Number of splits ahead")
    duration_seconds: int | None = Field(default=None, description="Length of the song")
    credits_used: int | None = Field(default=None, description="Credits charged")
    created_at: datetime | None = None
    expires_at: datetime | None = Field(default=None, description="Time when stems are deleted")
    bpm: float | None = Field(default=None, description="Tempo of the song")
    key: str | None = Field(default=None, description="Musical key of the song")
    error: str | None = Field(default=None, description="Reason of the failure")
    stems: list[str] = Field(default_factory=list, description="Names of the stems, once done")
    files: dict[str, str] = Field(default_factory=dict, description="Paths of the stems on disk")
    urls: dict[str, str] = Field(
        default_factory=dict,
        description="URLs of the stems, which need no API key until they expire",
    )


class SplitList(BaseModel):
    """A page of splits, newest first."""

    splits: list[SplitState]
    next_cursor: str | None = Field(default=None, description="Cursor of the next page, if any")


class ModelInfo(BaseModel):
    """A model."""

    name: str
    stems: list[str]
    aliases: list[str]
    installed: bool | None = Field(default=None, description="False if it cannot be used now")


class Models(BaseModel):
    """The available models."""

    models: list[ModelInfo]


class Balance(BaseModel):
    """Balance of the account; one credit is one second of audio."""

    credits: int
    unit: str


class Deleted(BaseModel):
    """Confirmation of a deletion."""

    split_id: str
    deleted: bool


def state_of(
    split: Split, *, writes_files: bool, files: Mapping[str, Path] | None = None
) -> SplitState:
    """Return a split's state as a result.

    Args:
        split: The split.
        writes_files: True if stems are downloaded by a tool, False if the result has their URLs.
        files: Paths of the stems that were downloaded.
    """
    analysis = split.analysis or Analysis()
    return SplitState(
        split_id=split.id,
        status=split.status,
        next_step=_next_step(split, writes_files, bool(files)),
        song=split.filename,
        model=split.stem_model,
        progress=split.progress,
        queue_position=split.queue_position,
        duration_seconds=split.duration_seconds or None,
        credits_used=split.credits_used,
        created_at=split.created_at,
        expires_at=split.expires_at,
        bpm=analysis.bpm,
        key=analysis.key,
        error=f"{split.error.message} ({split.error.code})" if split.error else None,
        stems=list(split.stems),
        files={stem: str(path) for stem, path in (files or {}).items()},
        urls={} if writes_files else dict(split.stems),
    )


def _next_step(split: Split, writes_files: bool, downloaded: bool) -> str:
    if split.failed:
        return "The charge was refunded. Tell the user the reason."
    if not split.succeeded:
        return "Call wait_for_split with this split_id."
    if downloaded:
        return "Done: tell the user where the stems are."
    if writes_files:
        return "Call download_stems with this split_id."
    return "Download the stems from their URLs, which need no API key."
