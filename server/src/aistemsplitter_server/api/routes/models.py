"""``/v1/models``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Security
from pydantic import ConfigDict

from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.authentication import permitted
from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.kit.schemas import Response, Success, example
from aistemsplitter_server.models import queries
from aistemsplitter_server.models.catalogue import HTDEMUCS_FT, MODELS

router = APIRouter(prefix="/v1/models", tags=["models"])


class ModelInfo(Response):
    """A model that splits can ask for."""

    model_config = ConfigDict(
        json_schema_extra=example(
            id="htdemucs_ft",
            stems=["drums", "bass", "other", "vocals"],
            aliases=["4s"],
            installed=True,
            default=True,
            description="four stems, fine-tuned: the best quality",
        )
    )

    id: str
    stems: list[str]
    aliases: list[str]
    installed: bool
    default: bool
    description: str


@router.get("")
def list_models(
    context: InContext, _caller: Annotated[Caller, Security(permitted, scopes=[Scope.SPLITS_READ])]
) -> Success[list[ModelInfo]]:
    """Return the models, their stems, and whether their weights are installed here."""
    with context.database.read() as session:
        installed = queries.installed(session)
    return Success(
        data=[
            ModelInfo(
                id=model.name,
                stems=[*model.stems],
                aliases=[*model.aliases],
                installed=model.name in installed,
                default=model is HTDEMUCS_FT,
                description=model.description,
            )
            for model in MODELS
        ]
    )
