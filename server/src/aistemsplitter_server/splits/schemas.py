"""Shapes on the wire of splits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from aistemsplitter_server.kit.schemas import Request, Response
from aistemsplitter_server.models.catalogue import HTDEMUCS_FT, NAMES, Model

Status = Literal["queued", "processing", "succeeded", "failed"]
OutputFormat = Literal["wav", "flac", "mp3", "opus", "m4a"]
Priority = Literal["interactive", "batch"]
Url = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
MOST_METADATA = 50  # keys
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=1024)]


class DirectUrl(Request):
    """A song that the service fetches."""

    type: Literal["direct_url"]
    url: Url = Field(description="http or https; or the audioUrl of an upload of one's own")


class UploadedFile(Request):
    """A song that was uploaded. Its id alone says which."""

    type: Literal["uploaded_file"]
    upload_id: Annotated[str, StringConstraints(max_length=64)]
    file_url: Url | None = None
    storage_key: Annotated[str, StringConstraints(max_length=512)] | None = None


class CreateSplit(Request):
    """What to split, and how."""

    input: Annotated[DirectUrl | UploadedFile, Field(discriminator="type")]
    stem_model: str = Field(HTDEMUCS_FT.name, description="a model's name or alias")
    output_format: OutputFormat = "wav"
    stems: list[str] | None = Field(
        None, min_length=1, description="only these are made; the model's own if none"
    )
    webhook_url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    metadata: dict[MetadataKey, MetadataValue] | None = Field(None, max_length=MOST_METADATA)
    priority: Priority | None = Field(None, description="the best that the key allows if none")

    @field_validator("stem_model")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NAMES:
            raise ValueError(f"there is no such model; there are {', '.join(NAMES)}")
        return name

    @model_validator(mode="after")
    def _stems_of_the_model(self) -> CreateSplit:
        # A validator of the field alone would not know the model when that is not sent.
        unknown = [stem for stem in self.stems or () if stem not in self.model.choices]
        if unknown:
            raise ValueError(
                f"stems: {self.stem_model} has no {unknown[0]!r};"
                f" it has {', '.join(self.model.choices)}"
            )
        if len(set(self.stems or ())) != len(self.stems or ()):
            raise ValueError("stems: each can be asked for once")
        return self

    @property
    def model(self) -> Model:
        """The model that is meant."""
        return NAMES[self.stem_model]

    @property
    def wanted(self) -> list[str]:
        """The stems to make."""
        return self.stems or [*self.model.stems]


class SplitJob(Response):
    """A split that has just been queued."""

    id: str
    status: Literal["queued"] = "queued"
    credits_used: int
    created_at: str


class SplitError(Response):
    """Why a split failed."""

    code: str
    message: str


class SplitInfo(Response):
    """A split as it stands; ``stems`` is there exactly when it succeeded."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    id: str
    status: Status
    stem_model: str
    filename: str
    duration_seconds: int
    credits_used: int
    created_at: str
    updated_at: str
    stems: dict[str, str] = Field(
        {}, exclude_if=lambda stems: not stems, description="name to presigned URL"
    )
    error: SplitError | None
    progress: float
    queue_position: int | None = Field(description="how many begin before it; null once it began")
    output_format: OutputFormat
    sample_rate: int | None
    expires_at: str | None = Field(description="when its stems are deleted")
    served_by: str
    warnings: list[str]
    metadata: dict[str, str]


class SplitPage(Response):
    """A page of splits, newest first."""

    items: list[SplitInfo]
    next_cursor: str | None


class Deleted(Response):
    """A split whose audio is gone."""

    id: str
    deleted: Literal[True] = True
