from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistemsplitter import Split, SplitJob, UnexpectedResponse, Upload
from aistemsplitter._decode import decode
from aistemsplitter._models import Model, PageData

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def test_decodes_the_wire_format() -> None:
    raw = {
        "id": "split_1",
        "status": "succeeded",
        "stemModel": "6s",
        "durationSeconds": 12.2,
        "createdAt": "2026-05-03T10:20:30.000Z",
        "stems": {"vocals": "https://s/v?signature=x"},
        "error": None,
        "newInTheNextVersion": {"a": 1},
    }
    split = decode(Split, raw)
    assert split.created_at == datetime(2026, 5, 3, 10, 20, 30, tzinfo=UTC)
    assert split.duration_seconds == 13
    assert dict(split.stems.items()) == {"vocals": "https://s/v?signature=x"}
    assert split.raw is raw
    assert split.done
    assert split.succeeded


def test_an_unknown_status_is_not_final() -> None:
    split = decode(Split, {"id": "split_1", "status": "polishing"})
    assert not split.done


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "data is null"),
        ([], "data is a list"),
        ({"status": "queued"}, "data.id is missing"),
        ({"id": 7, "status": "queued"}, "data.id is a number, not a string"),
        ({"id": "a", "status": ["b"]}, "data.status is a list, not a string"),
        ({"id": "a", "status": "b", "stems": {"v": 1}}, "stems"),
        ({"id": "a", "status": "b", "stems": "v"}, "stems"),
    ],
)
def test_wrong_shapes_name_the_field(data: Any, says: str) -> None:
    with pytest.raises(UnexpectedResponse, match=says):
        decode(Split, data)


@pytest.mark.parametrize(
    "odd",
    [
        {"createdAt": "soon"},
        {"createdAt": 1714730000},
        {"creditsUsed": True},
        {"creditsUsed": 10**400},
        {"progress": float("nan")},
        {"queuePosition": "third"},
        {"error": "oops"},
        {"warnings": {}},
        {"metadata": [1]},
        {"filename": {"a": 1}},
    ],
)
def test_odd_types_in_other_fields_do_not_lose_the_split(odd: dict[str, Any]) -> None:
    data = {"id": "a", "status": "succeeded", "stems": {"vocals": "https://s/v"}, **odd}
    split = decode(Split, data)
    assert split == decode(Split, {key: data[key] for key in ("id", "status", "stems")})
    assert split.raw == data
    assert decode(SplitJob, {"id": "a", "status": "queued", **odd}).id == "a"


def test_a_cursor_of_another_type_does_not_end_the_list() -> None:
    with pytest.raises(UnexpectedResponse, match="nextCursor"):
        decode(PageData, {"items": [], "nextCursor": 7})


FIELDS = st.sampled_from(["id", "status", "stems", "error", "createdAt", "items", "nextCursor",
                          "progress", "warnings", "metadata", "uploadId", "direct"])  # fmt: skip


@given(st.sampled_from([Split, Upload, PageData, Model]), st.dictionaries(FIELDS, JSON) | JSON)
def test_any_json_gives_a_model_or_unexpected_response(model: type, data: Any) -> None:
    with contextlib.suppress(UnexpectedResponse):
        decode(model, data)


def test_reprs_show_no_url() -> None:
    url = "https://storage.test/x?signature=topsecret"
    split = decode(Split, {"id": "a", "status": "succeeded", "stems": {"vocals": url}})
    upload = decode(
        Upload,
        {
            "uploadId": "upl_1",
            "uploadUrl": url,
            "uploadHeaders": {"x-token": "topsecret"},
            "direct": {"url": url, "headers": {"x-token": "topsecret"}},
            "audioUrl": url,
        },
    )
    assert "topsecret" not in repr(split) + repr(split.stems) + repr(upload)
