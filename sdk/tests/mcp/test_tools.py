"""The tools, called by the official client, with a fake service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter.testing import FakeService
from mcp_clients import Caller

URL = "https://example.com/song.mp3"


def test_a_song_becomes_stems_on_disk(caller: Caller, tmp_path: Path) -> None:
    submitted = caller.call("split_file", song="my song.wav", model="htdemucs")
    assert submitted["status"] == "queued"
    assert submitted["next_step"] == "Call wait_for_split with this split_id."
    split_id = submitted["split_id"]
    done = caller.call("wait_for_split", split_id=split_id)
    assert done["song"] == "my song.wav"
    assert done["urls"] == {}
    assert sorted(done["files"]) == ["bass", "drums", "other", "vocals"]
    for path in map(Path, done["files"].values()):
        assert path.parent.parent == tmp_path / "out"
        assert path.stat().st_size
    again = caller.call("download_stems", split_id=split_id, stems=["vocals"])
    assert again["files"] == {"vocals": done["files"]["vocals"]}

    assert {total for _, total, _ in caller.progress} == {1.0}
    texts = [text for _, _, text in caller.progress]
    assert texts[:4] == ["uploading", "queued", "processing", "succeeded"]
    assert texts[-1] == "downloading"
    waiting = [fraction for fraction, _, text in caller.progress if text != "uploading"]
    assert waiting[0] == 0.0


@pytest.mark.parametrize(
    ("tool", "song"),
    [("split_file", {"song": "my song.wav"}), ("split_url", {"url": URL})],
    ids=["file", "url"],
)
def test_a_preview(caller: Caller, service: FakeService, tool: str, song: dict[str, str]) -> None:
    caller.call(tool, **song, preview_seconds=30)
    (body,) = [each.body for each in service.requests if each.url.endswith("/audio/splits")]
    assert json.loads(body or b"")["options"] == {"previewSeconds": 30}
    assert "60" in caller.error(tool, **song, preview_seconds=61)


def test_without_folders_there_are_urls_instead_of_files(remote: Caller) -> None:
    assert not {"split_file", "download_stems"} & set(remote.tools())
    split_id = remote.call("split_url", url=URL)["split_id"]
    done = remote.call("wait_for_split", split_id=split_id)
    assert done["files"] == {}
    assert sorted(done["urls"]) == ["bass", "drums", "other", "vocals"]
    (listed,) = remote.call("list_splits")["splits"]
    assert listed["split_id"] == split_id
    assert (listed["urls"], listed["next_step"]) == (
        {},
        "Call get_split for the URLs of its stems.",
    )


def test_a_wait_that_is_over_says_to_call_again() -> None:
    service = FakeService(states=[("processing", 0.25)] * 1000, streams=False)
    caller = Caller(service, [], None)
    split_id = caller.call("split_url", url=URL)["split_id"]
    state = caller.call("wait_for_split", split_id=split_id, timeout_seconds=0.1)
    assert (state["status"], state["progress"]) == ("processing", 0.25)
    assert state["next_step"] == "Call wait_for_split with this split_id."


def test_models_credits_canceling_and_deleting(caller: Caller) -> None:
    models = {model["name"]: model["stems"] for model in caller.call("list_models")["models"]}
    assert models["htdemucs"] == ["drums", "bass", "other", "vocals"]
    before = caller.call("get_credits")["credits"]
    split_id = caller.call("split_url", url=URL)["split_id"]
    canceled = caller.call("cancel_split", split_id=split_id)
    assert canceled["status"] == "failed"
    assert "CANCELED" in canceled["error"]
    assert caller.call("get_split", split_id=split_id)["status"] == "failed"
    assert caller.call("get_credits")["credits"] == before
    assert caller.call("delete_split", split_id=split_id)["deleted"]
    assert caller.call("list_splits") == {"splits": [], "next_cursor": None}


def test_pages(remote: Caller) -> None:
    ids = {remote.call("split_url", url=URL)["split_id"] for _ in range(3)}
    first = remote.call("list_splits", limit=2)
    second = remote.call("list_splits", limit=2, cursor=first["next_cursor"])
    assert {each["split_id"] for each in first["splits"] + second["splits"]} == ids
    assert second["next_cursor"] is None


def test_annotations_and_schemas(caller: Caller) -> None:
    tools = caller.tools()
    reading = {name for name, tool in tools.items() if tool.annotations.read_only_hint}
    assert reading == {"get_split", "list_splits", "list_models", "get_credits"}
    destroying = {name for name, tool in tools.items() if tool.annotations.destructive_hint}
    assert destroying == {"cancel_split", "delete_split"}
    repeated = {name for name, tool in tools.items() if not tool.annotations.idempotent_hint}
    assert repeated == {"split_file", "split_url"}  # each call is charged
    for tool in tools.values():
        assert tool.annotations.open_world_hint
        assert tool.description
        assert tool.output_schema["properties"]
        for name, schema in tool.input_schema["properties"].items():
            assert "description" in schema or name == "output_format", f"{tool.name}: {name}"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param({"status": 401}, "check the API key", id="key"),
        pytest.param({"status": 402}, "buy credits", id="credits"),
        pytest.param({"status": 403}, "allowed to do this", id="scope"),
        pytest.param({"status": 404}, "Call list_splits", id="not-found"),
        pytest.param(
            {"status": 409, "code": "MODEL_UNAVAILABLE"}, "Call list_models", id="no-model"
        ),
        pytest.param({"status": 422}, "Correct the arguments", id="invalid"),
        pytest.param(
            {"status": 429, "times": 9, "retry_after": 0}, "Wait 0 s, then call again", id="rate"
        ),
        pytest.param({"status": 503, "times": 9}, "would be charged too", id="down"),
        pytest.param(
            {"status": 503, "times": 9, "retry_after": 0}, "would be charged too", id="busy"
        ),
    ],
)
def test_errors_say_what_to_do_next(
    remote: Caller, service: FakeService, fault: dict[str, Any], expected: str
) -> None:
    service.fail_next(**fault)
    text = remote.error("split_url", url=URL)
    assert "requested by the test" in text
    assert expected in text
    assert "\n" not in text


def test_a_split_that_failed_has_its_reason(remote: Caller, service: FakeService) -> None:
    service.fail_split("INPUT_UNREACHABLE", "the URL does not answer")
    split_id = remote.call("split_url", url=URL)["split_id"]
    text = remote.error("wait_for_split", split_id=split_id)
    assert "the URL does not answer" in text
    assert "refunded" in text


def test_a_file_of_the_user_is_not_overwritten(caller: Caller) -> None:
    split_id = caller.call("split_url", url=URL)["split_id"]
    (path,) = caller.call("wait_for_split", split_id=split_id) and map(
        Path, caller.call("download_stems", split_id=split_id, stems=["vocals"])["files"].values()
    )
    path.write_bytes(b"mine")
    text = caller.error("download_stems", split_id=split_id)
    assert f"{path}: is another file" in text
    assert "Ask the user to move it away" in text
    assert path.read_bytes() == b"mine"
