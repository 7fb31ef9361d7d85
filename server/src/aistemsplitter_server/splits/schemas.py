"""Schemas of splits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from aistemsplitter_server.kit.schemas import Moment, NextCursor, Request, Response, example
from aistemsplitter_server.models.catalogue import HTDEMUCS_FT, NAMES, Model
from aistemsplitter_server.splits.analysis import Analysis
from aistemsplitter_server.splits.options import SplitOptions
from aistemsplitter_server.splits.outputs import PutUrls
from aistemsplitter_server.webhooks.tables import EventType

Status = Literal["queued", "processing", "succeeded", "failed"]
OutputFormat = Literal["wav", "flac", "mp3", "opus", "m4a", "aiff", "alac"]
Priority = Literal["interactive", "batch"]
Url = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
MOST_METADATA = 50  # keys
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=1024)]

# the example of a split
SPLIT: dict[str, Any] = {
    "id": "split_01JTB3Y6M8Q4W2N7C5D9E0F1GH",
    "status": "succeeded",
    "stemModel": "htdemucs_ft",
    "filename": "song.flac",
    "durationSeconds": 180,
    "creditsUsed": 180,
    "createdAt": "2026-05-03T10:20:30.000Z",
    "updatedAt": "2026-05-03T10:21:40.000Z",
    "stems": {"vocals": "https://stems.example/storage/...", "instrumental": "https://..."},
    "error": None,
    "progress": 1.0,
    "queuePosition": None,
    "outputFormat": "flac",
    "sampleRate": 44100,
    "expiresAt": "2026-05-06T10:21:40.000Z",
    "servedBy": "htdemucs_ft",
    "analysis": {"bpm": 120.0, "key": "F# minor", "beatsPerBar": 4, "firstDownbeat": 0.31},
    "options": {"bitDepth": 24},
    "warnings": [],
    "metadata": {"order": "1001"},
}


class DirectUrl(Request):
    """A song that the service fetches from its URL."""

    type: Literal["direct_url"]
    url: Url = Field(
        description="http or https; or the audioUrl of one of your uploads",
        examples=["https://music.example/song.flac"],
    )


class UploadedFile(Request):
    """A song that was uploaded. Its id alone identifies it."""

    type: Literal["uploaded_file"]
    upload_id: Annotated[str, StringConstraints(max_length=64)]
    file_url: Url | None = None
    storage_key: Annotated[str, StringConstraints(max_length=512)] | None = None


class CreateSplit(Request):
    """The request for a split."""

    model_config = ConfigDict(
        json_schema_extra=example(
            input={"type": "uploaded_file", "uploadId": "upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH"},
            stemModel="htdemucs_ft",
            outputFormat="flac",
            stems=["vocals", "instrumental"],
            webhookUrl="https://shop.example/hooks/stems",
            metadata={"order": "1001"},
        )
    )

    input: Annotated[DirectUrl | UploadedFile, Field(discriminator="type")]
    stem_model: str = Field(
        HTDEMUCS_FT.name,
        description="a model's name or alias",
        json_schema_extra={"enum": [*NAMES]},
    )
    output_format: OutputFormat = "wav"
    stems: list[str] | None = Field(
        None, min_length=1, description="stems to create; all of the model's own if omitted"
    )
    webhook_url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    metadata: dict[MetadataKey, MetadataValue] | None = Field(None, max_length=MOST_METADATA)
    priority: Priority | None = Field(
        None, description="by default the highest that the key allows"
    )

    output: PutUrls | None = Field(
        None,
        exclude_if=lambda output: output is None,  # as in fingerprints of earlier versions
        description="where to deliver stems, besides keeping them for download",
    )
    options: SplitOptions | None = Field(
        None,
        exclude_if=lambda options: options is None,  # as in fingerprints of earlier versions
        description="how to compute and encode the stems",
    )

    @field_validator("stem_model")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NAMES:
            raise ValueError(f"unknown model; choose one of {', '.join(NAMES)}")
        return name

    @field_validator("stems")
    @classmethod
    def _of_the_model(cls, stems: list[str] | None, info: ValidationInfo) -> list[str] | None:
        # an invalid model has an error of its own
        if stems is None or "stem_model" not in info.data:
            return stems
        model = NAMES[info.data["stem_model"]]
        unknown = [stem for stem in stems if stem not in model.choices]
        if unknown:
            raise ValueError(
                f"{info.data['stem_model']} has no {unknown[0]!r};"
                f" it has {', '.join(model.choices)}"
            )
        if len(set(stems)) != len(stems):
            raise ValueError("must not repeat a stem")
        return stems

    @field_validator("output")
    @classmethod
    def _of_the_split(cls, output: PutUrls | None, info: ValidationInfo) -> PutUrls | None:
        if output is None or not {"stem_model", "stems"} <= info.data.keys():
            return output
        wanted = info.data["stems"] or [*NAMES[info.data["stem_model"]].stems]
        unknown = [stem for stem in output.stems if stem not in wanted]
        if unknown:
            raise ValueError(f"has the stem {unknown[0][:64]!r}, but the split makes {wanted}")
        return output

    @field_validator("options")
    @classmethod
    def _of_the_format(
        cls, options: SplitOptions | None, info: ValidationInfo
    ) -> SplitOptions | None:
        if options == SplitOptions():
            return None
        # An invalid format has an error of its own.
        if options is not None and "output_format" in info.data:
            options.check(info.data["output_format"])
        return options

    @property
    def model(self) -> Model:
        """The model that was asked for."""
        return NAMES[self.stem_model]

    @property
    def wanted(self) -> list[str]:
        """The stems to make."""
        return self.stems or [*self.model.stems]


class SplitJob(Response):
    """A split that has just been queued."""

    model_config = ConfigDict(
        json_schema_extra=example(
            id="split_01JTB3Y6M8Q4W2N7C5D9E0F1GH",
            status="queued",
            creditsUsed=180,
            createdAt="2026-05-03T10:20:30.000Z",
        )
    )

    id: str
    status: Literal["queued"] = "queued"
    credits_used: int
    created_at: Moment


class SplitError(Response):
    """The reason why a split failed."""

    code: str
    message: str


class SplitInfo(Response):
    """A split. It has ``stems`` if and only if it succeeded."""

    model_config = ConfigDict(
        json_schema_serialization_defaults_required=False,
        json_schema_extra=example(**SPLIT),
    )

    id: str
    status: Status
    stem_model: str
    filename: str
    duration_seconds: int
    credits_used: int
    created_at: Moment
    updated_at: Moment
    stems: dict[str, str] = Field(
        {}, exclude_if=lambda stems: not stems, description="name to presigned URL"
    )
    error: SplitError | None
    progress: float
    queue_position: int | None = Field(
        description="number of splits ahead of it; null once it has begun, or if no worker can run "
        "it now"
    )
    output_format: OutputFormat
    sample_rate: int | None
    expires_at: Moment | None = Field(description="when its stems will be deleted")
    served_by: str
    analysis: Analysis | None = Field(
        description="tempo and key of the song; null before it succeeds, or if they were not found"
    )
    options: SplitOptions | None = Field(
        description="those that were chosen; null if all are the defaults"
    )
    warnings: list[str]
    metadata: dict[str, str]


class WebhookEvent(Response):
    """The end of a split, as it is delivered to webhooks."""

    model_config = ConfigDict(
        json_schema_serialization_defaults_required=False,
        json_schema_extra=example(
            id="evt_01JTB3Y6M8Q4W2N7C5D9E0F1GH",
            type="split.succeeded",
            event="audio.split.completed",
            createdAt="2026-05-03T10:21:40.000Z",
            data=SPLIT,
        ),
    )

    id: str = Field(
        description="the same in every delivery", examples=["evt_01JTB3Y6M8Q4W2N7C5D9E0F1GH"]
    )
    type: EventType
    event: Literal["audio.split.completed"] = Field(description="an older name")
    created_at: Moment
    test: bool = Field(
        False, exclude_if=lambda test: not test, description="true for a sample event"
    )
    data: SplitInfo = Field(description="the split, with fresh URLs of its stems")


class EventPage(Response):
    """A page of events, newest first."""

    items: list[WebhookEvent]
    next_cursor: NextCursor


class SplitPage(Response):
    """A page of splits, newest first."""

    items: list[SplitInfo]
    next_cursor: NextCursor


class Deleted(Response):
    """A split that was deleted."""

    id: str = Field(examples=["split_01JTB3Y6M8Q4W2N7C5D9E0F1GH"])
    deleted: Literal[True] = True
    audio_deleted: bool = Field(
        description="false if stems could not be removed yet; the server retries until they are",
        examples=[True],
    )
