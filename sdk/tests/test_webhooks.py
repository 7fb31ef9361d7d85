from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistemsplitter import (
    AiStemSplitter,
    AsyncAiStemSplitter,
    ConfigurationError,
    InvalidWebhook,
    _webhooks,
    verify_signature,
)
from aistemsplitter.testing import sign, split_failed, split_succeeded

SECRET = "whsec_topsecret"


def test_event_reads_as_attributes_and_items() -> None:
    delivery = split_succeeded("split_7", secret=SECRET, metadata={"song": "7"})
    event = verify_signature(delivery.headers, delivery.body, SECRET)
    assert event.type == event["type"] == "split.succeeded"
    assert event.id == delivery.event_id
    assert event.data["stems"]["vocals"] == event.data.stems["vocals"]
    assert event.data.metadata == {"song": "7"}
    assert event.data["created_at"] == event.data["createdAt"]
    assert "stems" in event.data
    assert event.data.get("error") is None
    assert dict(event)["type"] == "split.succeeded"


def test_failed_event() -> None:
    delivery = split_failed(secret=SECRET, code="CANCELED", message="cancelled")
    event = verify_signature(delivery.headers, delivery.body, SECRET)
    assert event.type == "split.failed"
    assert event.data["error"] == {"code": "CANCELED", "message": "cancelled"}
    assert event.data.error is not None
    assert event.data.error.code == "CANCELED"


def test_clients_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = split_succeeded(secret=SECRET)
    for client in (AiStemSplitter, AsyncAiStemSplitter):
        event = client("k", webhook_secret=SECRET).verify_webhook(delivery.headers, delivery.body)
        assert event.data.succeeded
    monkeypatch.setenv("AISTEMSPLITTER_WEBHOOK_SECRET", f"whsec_old, {SECRET}")
    AiStemSplitter("k").verify_webhook(delivery.headers, delivery.body)
    verify_signature(delivery.headers, delivery.body)


def test_secret_is_needed(caplog: pytest.LogCaptureFixture) -> None:
    _webhooks._log_missing_secret.cache_clear()
    delivery = split_succeeded()
    for _ in range(3):  # a receiver that answers every exception with 400 would hide this one
        with pytest.raises(ConfigurationError, match="pass the secret"):
            AiStemSplitter("k").verify_webhook(delivery.headers, delivery.body)
    with pytest.raises(ConfigurationError):
        verify_signature(delivery.headers, delivery.body)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "AISTEMSPLITTER_WEBHOOK_SECRET" in record.message


@pytest.mark.parametrize("secret", [b"whsec_a", [b"whsec_a"], 7, [None], {"a": "b"}])
def test_secrets_are_strings(secret: Any) -> None:
    delivery = split_succeeded()
    with pytest.raises(ConfigurationError, match="string"):
        verify_signature(delivery.headers, delivery.body, secret)
    with pytest.raises(ConfigurationError, match="string"):
        AiStemSplitter("k", webhook_secret=secret)


def test_secret_rotation_on_either_side() -> None:
    by_both = split_succeeded(secret=["whsec_old", "whsec_new"])
    verify_signature(by_both.headers, by_both.body, "whsec_old")
    verify_signature(by_both.headers, by_both.body, "whsec_new")
    by_one = split_succeeded(secret="whsec_old")
    verify_signature(by_one.headers, by_one.body, ["whsec_new", "whsec_old"])


class _Werkzeug:
    """Headers with items() only, as in some frameworks."""

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self._pairs = pairs

    def items(self) -> list[tuple[Any, Any]]:
        return self._pairs


def test_headers_of_any_framework() -> None:
    delivery = split_succeeded(secret=SECRET)
    pairs = list(delivery.headers.items())
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs]
    for headers in (dict(pairs), pairs, raw, _Werkzeug(pairs), {k.upper(): v for k, v in pairs}):
        assert verify_signature(headers, delivery.body, SECRET).id == delivery.event_id
    assert verify_signature(pairs, delivery.body.decode(), SECRET).id == delivery.event_id


@pytest.mark.parametrize("age", [-301, 301, 10**9])
def test_past_and_future_timestamps_are_rejected(age: int) -> None:
    delivery = split_succeeded(secret=SECRET, timestamp=max(0, int(time.time()) - age))
    with pytest.raises(InvalidWebhook, match="clock"):
        verify_signature(delivery.headers, delivery.body, SECRET)


def test_tolerance_can_be_set() -> None:
    delivery = split_succeeded(secret=SECRET, timestamp=int(time.time()) - 1000)
    verify_signature(delivery.headers, delivery.body, SECRET, tolerance=2000)


GOOD = split_succeeded(secret=SECRET)
VALUE = GOOD.headers["AIStemSplitter-Signature"]
TIME, SIGNATURE = VALUE.split(",")


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{time}",
        "{signature}",
        "{time},{time},{signature}",
        "t=,{signature}",
        "t=-5,{signature}",
        "t=٣,{signature}",
        f"t={'9' * 5000},{{signature}}",
        "{time},v1=",
        "{time},v1=é",
        "{time},v0={digest}",
        f"{{time}},v1={'0' * 64}",
        "\udcff\0,=,t==,v1",
    ],
)
def test_malformed_headers(template: str) -> None:
    value = template.format(time=TIME, signature=SIGNATURE, digest=SIGNATURE[3:])
    with pytest.raises(InvalidWebhook):
        verify_signature({"AIStemSplitter-Signature": value}, GOOD.body, SECRET)


def test_changed_body_or_missing_or_doubled_header() -> None:
    with pytest.raises(InvalidWebhook, match="no signature matches"):
        verify_signature(GOOD.headers, GOOD.body + b" ", SECRET)
    with pytest.raises(InvalidWebhook, match="no AIStemSplitter-Signature"):
        verify_signature({}, GOOD.body, SECRET)
    with pytest.raises(InvalidWebhook, match="more than one"):
        verify_signature([*GOOD.headers.items()] * 2, GOOD.body, SECRET)


@pytest.mark.parametrize("headers", [None, 7, "abc", [1, 2], [("a",)]])
def test_objects_that_are_not_headers(headers: Any) -> None:
    with pytest.raises(InvalidWebhook):
        verify_signature(headers, GOOD.body, SECRET)


def test_a_parsed_body_is_rejected() -> None:
    body: Any = json.loads(GOOD.body)
    with pytest.raises(InvalidWebhook, match="raw bytes"):
        verify_signature(GOOD.headers, body, SECRET)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"null", b"{}", b'{"id": 1}', b"[" * 100_000,
             b'{"id":"evt_1","type":"split.succeeded","data":{}}'],
)  # fmt: skip
def test_a_signed_invalid_body(body: bytes) -> None:
    with pytest.raises(InvalidWebhook, match="signature is valid"):
        verify_signature(sign(body, SECRET), body, SECRET)


def test_unknown_event_types_are_accepted() -> None:
    body = b'{"id":"evt_1","type":"credits.low","data":{"balance":3}}'
    event = verify_signature(sign(body, SECRET), body, SECRET)
    assert event.type == "credits.low"
    assert event.data["balance"] == 3


@given(st.dictionaries(st.text() | st.just("aistemsplitter-signature"), st.text()), st.binary())
def test_any_headers_and_body(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        verify_signature(headers, body, SECRET)


@given(st.text() | st.from_regex(r"t=[0-9]{1,12}(,v1=[0-9a-f]{0,64}){0,3}", fullmatch=True))
def test_any_signature(value: str) -> None:
    with pytest.raises(InvalidWebhook):
        verify_signature({"AIStemSplitter-Signature": value}, b"{}", SECRET)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | JSON.map(lambda data: json.dumps({"id": "e", "type": "split.failed",
                                                        "data": data}).encode()))  # fmt: skip
def test_any_signed_body(body: bytes) -> None:
    with contextlib.suppress(InvalidWebhook):
        verify_signature(sign(body, SECRET), body, SECRET)
