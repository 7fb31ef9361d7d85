"""Programs written for version 0.1.1 keep running; server/tests/compatibility has a longer one."""

from __future__ import annotations

import copy
import importlib
import pickle
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter import AIStemSplitter, AIStemSplitterError, AiStemSplitterError
from aistemsplitter.testing import FakeService, Reply
from clients import KEY
from loopback import Loopback

# Written after the README of 0.1.1; the service comes from the environment.
FIRST = """
import os
from aistemsplitter import AIStemSplitter

client = AIStemSplitter(os.environ["AISTEMSPLITTER_API_KEY"])
split = client.create_split({
    "input": {"type": "direct_url", "url": "https://example.com/song.mp3"},
    "stemModel": "6s",
})
print(split["id"])
"""
UPLOADING = """
import os
from aistemsplitter import AIStemSplitter, AIStemSplitterError

client = AIStemSplitter(os.environ["AISTEMSPLITTER_API_KEY"])
with open("song.mp3", "rb") as handle:
    upload = client.upload_audio(
        handle.read(), filename="song.mp3", content_type="audio/mpeg"
    )
split = client.create_split({"input": upload["input"], "stemModel": "6s"})
result = client.wait_for_split(split["id"], interval=0)
print(result["status"], *sorted(result["stems"]))
try:
    client.get_split("split_unknown")
except AIStemSplitterError as error:
    print(error.status_code, error.code)
"""


@pytest.fixture(autouse=True)
def _service(loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AISTEMSPLITTER_API_KEY", KEY)
    monkeypatch.setenv("AISTEMSPLITTER_BASE_URL", loopback.url)
    monkeypatch.chdir(tmp_path)
    Path("song.mp3").write_bytes(b"song")


def run(program: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.warns(DeprecationWarning, match="use AiStemSplitter") as caught:
        exec(compile(program, "program.py", "exec"), {})
    assert [Path(warning.filename).name for warning in caught] == ["program.py"]
    return capsys.readouterr().out


def test_the_first_program_of_its_readme(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(FIRST, capsys).startswith("split_")


def test_the_second_program_of_its_readme(
    loopback: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run(UPLOADING, capsys).splitlines()
    assert printed == [
        "succeeded bass drums guitar other piano vocals",
        "404 NOT_FOUND",
    ]
    storage = [headers for _, path, headers in loopback.seen if path.startswith("/storage/")]
    assert storage
    assert not any("authorization" in headers for headers in storage)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestClient:
    """Arguments and errors of the 0.1.1 client."""

    def test_failed_splits_are_returned(self, loopback: Loopback) -> None:
        loopback.service.fail_split("UNSUPPORTED_MEDIA")
        client = AIStemSplitter(KEY)
        job = client.create_split({"input": {"type": "direct_url", "url": "https://e.com/a.mp3"}})
        split = client.wait_for_split(job["id"], interval=0)
        assert (split["status"], split["error"]["code"]) == ("failed", "UNSUPPORTED_MEDIA")

    def test_the_wait_ends(self, loopback: Loopback) -> None:
        loopback.service._states = [("queued", 0.0)] * 100_000
        pauses: list[float] = []
        client = AIStemSplitter(KEY, sleep=pauses.append)
        job = client.create_split({"input": {"type": "direct_url", "url": "https://e.com/a.mp3"}})
        with pytest.raises(AIStemSplitterError, match=f"TIMEOUT: .*{job['id']}") as caught:
            client.wait_for_split(job["id"], timeout=0.05)
        assert caught.value.status_code == 0
        assert pauses
        assert max(pauses) <= 0.05

    def test_the_error_of_a_refusal(self, loopback: Loopback) -> None:
        loopback.service.fail_next(402, requiredSeconds=180)
        with pytest.raises(AIStemSplitterError) as caught:
            AIStemSplitter(KEY).get_credits()
        error = caught.value
        assert (error.status_code, error.code) == (402, "INSUFFICIENT_CREDITS")
        assert error.details["success"] is False
        assert error.details["error"]["requiredSeconds"] == 180
        assert str(error).startswith("INSUFFICIENT_CREDITS: ")
        assert isinstance(error, AiStemSplitterError)
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert (twin.status_code, twin.details) == (402, error.details)

    def test_a_lost_response_is_not_charged_twice(self, loopback: Loopback) -> None:
        loopback.fault("reset_after", r"/splits$")
        AIStemSplitter(KEY).create_split(
            {"input": {"type": "direct_url", "url": "https://example.com/song.mp3"}}
        )
        assert loopback.service.balance == 36_000 - 180

    def test_no_key(self) -> None:
        with pytest.raises(AIStemSplitterError) as caught:
            AIStemSplitter("")
        assert (caught.value.status_code, caught.value.code) == (0, "CONFIG_ERROR")

    def test_a_response_that_is_not_json(self, loopback: Loopback) -> None:
        loopback.service.answer_next(Reply(200, {"content-type": "text/html"}, b"<html>"))
        with pytest.raises(AIStemSplitterError) as caught:
            AIStemSplitter(KEY).get_credits()
        assert (caught.value.status_code, caught.value.code) == (200, "HTTP_ERROR")

    def test_no_response(self, loopback: Loopback) -> None:
        loopback.fault("reset", times=99)
        with pytest.raises(AIStemSplitterError) as caught:
            AIStemSplitter(KEY).get_credits()
        assert caught.value.status_code == 0

    def test_the_transport_argument(self) -> None:
        seen: list[tuple[str, str, dict[str, str], bytes | None]] = []
        answers: list[tuple[int, dict[str, str], Any]] = [
            (200, {}, {"success": True, "data": {"balance": 7}}),
            (200, {}, b'{"success": true, "data": {"id": "split_1"}}'),
            (503, {"Retry-After": "9"}, '{"success": false, "error": {"code": "UNAVAILABLE"}}'),
        ]

        def transport(
            method: str, url: str, headers: dict[str, str], body: bytes | None
        ) -> tuple[int, dict[str, str], Any]:
            seen.append((method, url, headers, body))
            return answers.pop(0)

        client = AIStemSplitter(KEY, base_url="https://api.test/v1/", transport=transport)
        assert client.get_credits() == {"balance": 7}
        assert client.create_split({"input": {}}, idempotency_key="order-7") == {"id": "split_1"}
        with pytest.raises(AIStemSplitterError, match="UNAVAILABLE"):
            client.get_credits()
        method, url, headers, body = seen[1]
        assert (method, url) == ("POST", "https://api.test/v1/audio/splits")
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert headers["Idempotency-Key"] == "order-7"
        assert body == b'{"input": {}}'

    def test_the_old_module_name(self) -> None:
        module = importlib.import_module("aistemsplitter.client")
        assert module.AIStemSplitter is AIStemSplitter

    def test_no_key_is_shown(self) -> None:
        assert KEY not in repr(AIStemSplitter(KEY))


def test_new_clients_do_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    from aistemsplitter import AiStemSplitter

    with AiStemSplitter(KEY, transport=FakeService()) as client:
        client.get_credits()
    assert not list(recwarn)
