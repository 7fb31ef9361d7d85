from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistemsplitter import Split, UnexpectedResponse, Upload
from aistemsplitter._decode import decode
from aistemsplitter._models import Model, PageData

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def test_reads_the_wire() -> None:
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


def test_unknown_status_is_just_not_done() -> None:
    split = decode(Split, {"id": "split_1", "status": "polishing"})
    assert not split.done


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "data is null"),
        ([], "data is a list"),
        ({"status": "queued"}, "data.id is missing"),
        ({"id": 7, "status": "queued"}, "data.id is a number, not a string"),
        ({"id": "a", "status": "b", "createdAt": "soon"}, "createdAt is not a time"),
        ({"id": "a", "status": "b", "creditsUsed": True}, "creditsUsed is a boolean"),
        ({"id": "a", "status": "b", "creditsUsed": 10**400}, "creditsUsed"),
        ({"id": "a", "status": "b", "progress": float("nan")}, "progress"),
        ({"id": "a", "status": "b", "stems": {"v": 1}}, "stems"),
        ({"id": "a", "status": "b", "error": "oops"}, "error"),
    ],
)
def test_wrong_shapes_name_the_field(data: Any, says: str) -> None:
    with pytest.raises(UnexpectedResponse, match=says):
        decode(Split, data)


FIELDS = st.sampled_from(["id", "status", "stems", "error", "createdAt", "items", "nextCursor",
                          "progress", "warnings", "metadata", "uploadId", "direct"])  # fmt: skip


@given(st.sampled_from([Split, Upload, PageData, Model]), st.dictionaries(FIELDS, JSON) | JSON)
def test_any_json_is_a_model_or_the_one_error(model: type, data: Any) -> None:
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
