"""Models as values: in pydantic and FastAPI, as JSON, in sets, pickled and printed."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import date
from typing import Any

import pydantic
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from aistemsplitter import (
    AiStemSplitter,
    Analysis,
    AsyncSplitPage,
    BeatGrid,
    Credits,
    DeletedSplit,
    DeletedUpload,
    DirectUpload,
    ErrorInfo,
    EventData,
    InputError,
    Model,
    Split,
    SplitJob,
    SplitPage,
    StemUrls,
    TransferProgress,
    Upload,
    UploadInfo,
    Usage,
    UsageDay,
    WebhookEvent,
)
from aistemsplitter._decode import decode
from aistemsplitter._models import PageData
from aistemsplitter.testing import FakeService

URL = "https://storage.test/bucket/split_1/vocals.wav?signature=topsecret"
WIRE = {
    "id": "split_1",
    "status": "succeeded",
    "stemModel": "htdemucs_ft",
    "durationSeconds": 12,
    "createdAt": "2026-05-03T10:20:30Z",
    "stems": {"vocals": URL},
    "warnings": [{"code": "CLIPPED"}],
    "metadata": {"order": "7"},
    "progress": 1.0,
}
SPLIT = decode(Split, WIRE)
EVENT = decode(WebhookEvent, {"id": "evt_1", "type": "split.succeeded", "data": WIRE})
MODELS = [
    SPLIT,
    EVENT,
    EVENT.data,
    decode(Split, {"id": "split_2", "status": "failed", "error": {"code": "CANCELED"}}),
    SplitJob(id="split_1", status="queued"),
    Credits(balance=3),
    Analysis(bpm=120.0, key="F# minor", beats_per_bar=4, first_downbeat=0.31),
    BeatGrid(bpm=120.0, beats=(0.31, 0.81), beats_per_bar=2, first_downbeat=0),
    ErrorInfo(code="INTERNAL"),
    DeletedSplit(id="split_1"),
    DirectUpload(url=URL, headers={"a": "b"}),
    Upload(upload_id="upl_1", upload_url=URL, upload_headers={"a": "b"}),
    Usage(
        start=date(2026, 5, 3),
        end=date(2026, 5, 3),
        days=(UsageDay(day=date(2026, 5, 3), seconds=180, splits=1),),
    ),
    UploadInfo(upload_id="upl_1", error=ErrorInfo(code="UNSUPPORTED_MEDIA")),
    DeletedUpload(upload_id="upl_1"),
    Model(id="htdemucs", stems=("vocals",)),
    TransferProgress(name="vocals", bytes_done=1),
    PageData(items=(SPLIT,)),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_are_compared_by_value(model: Any) -> None:
    assert {model, replace(model)} == {model}
    assert pickle.loads(pickle.dumps(model)) == model
    fields = json.loads(model.to_json())
    assert fields == json.loads(json.dumps(model.to_dict()))
    assert "raw" not in fields
    adapter = pydantic.TypeAdapter(type(model))
    assert adapter.validate_python(model) == model
    assert adapter.validate_python(fields) == model
    assert adapter.validate_json(model.to_json()) == model
    assert "raw" not in adapter.dump_python(model)
    assert adapter.json_schema(mode="serialization")["properties"].keys() == fields.keys()


def test_to_dict_has_python_names_and_plain_values() -> None:
    fields = SPLIT.to_dict()
    assert fields["stem_model"] == "htdemucs_ft"
    assert fields["created_at"] == "2026-05-03T10:20:30+00:00"
    assert fields["stems"] == {"vocals": URL}
    assert fields["warnings"] == [{"code": "CLIPPED"}]
    assert SPLIT.raw == WIRE


def test_splits_hash_by_id() -> None:
    later = replace(SPLIT, progress=0.5, metadata={})
    assert hash(later) == hash(SPLIT)
    assert later != SPLIT


def test_fastapi_returns_models() -> None:
    app = FastAPI()

    @app.get("/split")
    def split() -> Split:
        return SPLIT

    @app.get("/splits")
    def splits() -> list[Split]:
        return [SPLIT]

    @app.get("/event")
    async def event() -> EventData:
        return EVENT.data

    @app.post("/echo")
    def echo(split: Split) -> Split:
        return split

    with TestClient(app) as client:
        expected = SPLIT.to_dict() | {"created_at": "2026-05-03T10:20:30Z"}
        assert client.get("/split").json() == expected
        assert client.get("/splits").json() == [expected]
        assert client.get("/event").json() == expected
        assert client.post("/echo", json=SPLIT.to_dict()).json() == expected
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        assert "stems" in schemas["Split-Output"]["properties"]


def test_models_are_fields_of_pydantic_models() -> None:
    class Order(pydantic.BaseModel):
        split: Split
        stems: StemUrls

    order = Order(split=SPLIT, stems=SPLIT.stems)
    again = Order.model_validate_json(order.model_dump_json())
    assert again == order
    with pytest.raises(pydantic.ValidationError):
        Order.model_validate({"split": {"id": "a", "status": "b"}, "stems": {"vocals": 1}})


def test_stems_print_with_shortened_urls() -> None:
    stems = StemUrls(
        {
            "vocals": URL,
            "bass": "http://u:p@127.0.0.1:8000/bass.wav",
            "drums": "https://[bad",
        }
    )
    assert str(stems) == (
        "StemUrls({'vocals': 'https://storage.test/.../vocals.wav?...',"
        " 'bass': 'http://127.0.0.1:8000/bass.wav', 'drums': '...'})"
    )
    assert repr(stems) in repr(replace(SPLIT, stems=stems))


def test_a_pickled_page_keeps_its_items() -> None:
    service = FakeService()
    with AiStemSplitter("k", transport=service) as client:
        for _ in range(3):
            client.submit(audio_url="https://example.com/song.mp3")
        page = client.list_splits(limit=2)
        again = pickle.loads(pickle.dumps(page))
        assert (type(again), again.items, again.raw) == (SplitPage, page.items, page.raw)
        assert again.has_next_page()
        assert again.to_dict() == page.to_dict()
        assert json.loads(json.dumps(page.to_dict()))["next_cursor"] == page.next_cursor
        with pytest.raises(InputError, match=r"cursor=page\.next_cursor"):
            again.next_page()
        last = client.list_splits(cursor=again.next_cursor)
        assert not last.has_next_page()
        assert last.next_page() is None

    async def read(_: str) -> AsyncSplitPage:
        raise AssertionError

    data = PageData(items=(SPLIT,), next_cursor="2")
    assert pickle.loads(pickle.dumps(AsyncSplitPage(data, read))).items == (SPLIT,)
