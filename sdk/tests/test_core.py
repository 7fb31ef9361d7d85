"""The core without a driver: the test plays it by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistemsplitter import (
    AiStemSplitterError,
    APIError,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    IdempotencyInProgress,
    InsufficientCredits,
    NotFound,
    RateLimited,
    RedirectRefused,
    ServerError,
    Timeouts,
    TLSFailed,
    UnexpectedResponse,
    ValidationFailed,
    _core,
)
from aistemsplitter._core import Session, call
from aistemsplitter._effects import Failure, Operation, Reply, Send, Sleep
from aistemsplitter._failures import retry_after

OK = Reply(200, {}, b'{"success": true, "data": 7}')


class Play:
    """A driver that takes its replies from a list, on its own clock."""

    def __init__(self, **options: Any) -> None:
        self.now = 100.0
        self.sends: list[Send] = []
        self.sleeps: list[float] = []
        options.setdefault("timeouts", Timeouts(total=60))
        self.session = Session(
            base_url="https://api.test/v1", clock=lambda: self.now, jitter=lambda: 1.0, **options
        )

    def run(self, operation: Operation[Any], *answers: Any) -> Any:
        left = list(answers)
        step: Any = lambda: next(operation)  # noqa: E731
        while True:
            try:
                effect = step()
            except StopIteration as end:
                assert not left, "not all replies were used"
                return end.value
            if isinstance(effect, Sleep):
                self.sleeps.append(effect.seconds)
                self.now += effect.seconds
                step = lambda: operation.send(None)  # noqa: E731
                continue
            assert isinstance(effect, Send)
            self.sends.append(effect)
            answer = left.pop(0)
            if callable(answer):
                answer = answer()
            if isinstance(answer, Failure):
                step = lambda answer=answer: operation.throw(answer)  # noqa: E731
            else:
                step = lambda answer=answer: operation.send(answer)  # noqa: E731

    def call(self, *answers: Any) -> Any:
        return self.run(call(self.session, "GET", "/credits"), *answers)


@pytest.fixture(autouse=True)
def _true_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "FIRST_PAUSE", 0.5)
    monkeypatch.setattr(_core, "LONGEST_PAUSE", 8.0)


def error(status: int, code: str = "X", **more: Any) -> Reply:
    fields = {"success": False, "error": {"code": code, "message": "no", **more}}
    return Reply(status, {"request-id": "req_1"}, json.dumps(fields).encode())


RESET = Failure("connection", "reset")


def test_pauses_double_up_to_a_limit() -> None:
    play = Play(max_retries=6)
    assert play.call(RESET, error(500), error(429), error(503), error(408), RESET, OK) == 7
    assert play.sleeps == [0.5, 1, 2, 4, 8, 8]


def test_jitter_covers_the_whole_pause() -> None:
    session = replace(Play().session, jitter=lambda: 0.0)
    assert session.pause(3) == 0.0
    assert session.pause(3, retry_after=5.0) == 5.0


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(401, "UNAUTHORIZED"), "Unauthorized"),
        (error(403, "FORBIDDEN"), "Forbidden"),
        (error(403, "ACCOUNT_SUSPENDED"), "AccountSuspended"),
        (error(404, "NOT_FOUND"), "NotFound"),
        (error(409, "CONFLICT"), "Conflict"),
        (error(409, "LIMIT_EXCEEDED"), "LimitExceeded"),
        (error(409, "MODEL_UNAVAILABLE"), "ModelUnavailable"),
        (error(413, "PAYLOAD_TOO_LARGE"), "PayloadTooLarge"),
        (error(422, "VALIDATION_ERROR"), "ValidationFailed"),
        (error(422, "IDEMPOTENCY_MISMATCH"), "IdempotencyMismatch"),
        (error(418, "TEAPOT"), "APIError"),
        (error(501, "NEVER"), "ServerError"),
    ],
)
def test_not_retried(reply: Reply, kind: str) -> None:
    play = Play()
    with pytest.raises(APIError) as caught:
        play.call(reply)
    assert type(caught.value).__name__ == kind
    assert caught.value.request_id == "req_1"
    assert not play.sleeps


def test_last_error_is_raised_after_all_retries() -> None:
    with pytest.raises(ServerError, match=r"\(INTERNAL, HTTP 500"):
        Play(max_retries=1).call(error(500), error(500, "INTERNAL"))
    with pytest.raises(ConnectionFailed, match=r"api\.test"):
        Play(max_retries=0).call(RESET)
    with pytest.raises(IdempotencyInProgress):
        Play(max_retries=0).call(error(409, "IDEMPOTENCY_IN_PROGRESS"))


def test_tls_is_not_retried() -> None:
    with pytest.raises(TLSFailed, match="expired"):
        Play().call(Failure("tls", "certificate has expired"))


def test_in_progress_is_retried() -> None:
    play = Play()
    waiting = replace(error(409, "IDEMPOTENCY_IN_PROGRESS"), headers={"retry-after": "3"})
    assert play.call(waiting, OK) == 7
    assert play.sleeps == [3.5]


def test_a_request_in_progress_is_awaited_until_the_deadline() -> None:
    waiting = replace(error(409, "IDEMPOTENCY_IN_PROGRESS"), headers={"retry-after": "3"})
    assert Play(max_retries=1).call(waiting, waiting, waiting, OK) == 7
    with pytest.raises(IdempotencyInProgress):
        Play(max_retries=1, timeouts=Timeouts(total=9)).call(*[waiting] * 9)


def test_no_pause_begins_that_exceeds_the_deadline() -> None:
    play = Play(timeouts=Timeouts(total=10))
    with pytest.raises(RateLimited) as caught:
        play.call(Reply(429, {"retry-after": "11"}))
    assert caught.value.retry_after == 11
    assert not play.sleeps


def test_the_deadline_covers_all_attempts() -> None:
    play = Play(timeouts=Timeouts(total=10), max_retries=99)
    with pytest.raises(ServerError):
        play.call(*[error(500)] * 5)
    assert sum(play.sleeps) < 10
    assert {send.request.deadline for send in play.sends} == {110.0}


def test_out_of_time() -> None:
    play = Play(timeouts=Timeouts(total=10))

    def out() -> Failure:
        play.now += 10
        return Failure("deadline", "out of time")

    with pytest.raises(DeadlineExceeded, match="deadline"):
        play.call(out)


def test_retry_after_as_seconds_and_date() -> None:
    assert retry_after({"retry-after": "7"}) == 7.0
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after({"retry-after": later}) == pytest.approx(60, abs=3)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=60), usegmt=True)
    assert retry_after({"retry-after": past}) == 0.0
    assert retry_after({}) is None


@given(st.text())
def test_any_retry_after(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or seconds >= 0


def test_missing_credits_are_named() -> None:
    with pytest.raises(InsufficientCredits, match="12 seconds missing") as caught:
        Play().call(error(402, "INSUFFICIENT_CREDITS", requiredSeconds=200, balanceSeconds=188))
    assert caught.value.required_seconds == 200
    assert caught.value.balance_seconds == 188
    assert caught.value.details["requiredSeconds"] == 200


def test_a_page_of_html() -> None:
    with pytest.raises(UnexpectedResponse, match=r"text/html\). Check the base URL"):
        Play().call(Reply(200, {"content-type": "text/html; charset=utf-8"}, b"<html>"))
    with pytest.raises(ServerError, match=r"HTTP_502"):
        Play(max_retries=0).call(Reply(502, {"content-type": "text/html"}, b"<html>"))
    with pytest.raises(NotFound):
        Play().call(Reply(404, {}, b"<html>"))


def test_redirects_are_refused() -> None:
    elsewhere = Reply(307, {"location": "https://evil.test/v1/credits?x=1"})
    with pytest.raises(RedirectRefused, match=r"redirects to evil\.test; not followed"):
        Play().call(elsewhere)
    with pytest.raises(RedirectRefused, match="an invalid URL"):
        Play().call(Reply(307, {"location": "http://["}))


def test_the_error_code_takes_precedence_over_the_status() -> None:
    with pytest.raises(Conflict):
        Play().call(error(422, "CONFLICT"))
    with pytest.raises(ValidationFailed):
        Play().call(error(422, "A_LATER_CODE"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("error"), inner),
)


@given(
    st.integers(200, 599),
    st.binary() | JSON.map(lambda error: json.dumps({"success": False, "error": error}).encode()),
    st.dictionaries(st.sampled_from(["location", "retry-after", "content-type"]), st.text()),
)
def test_any_response_raises_one_of_our_errors(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
    with pytest.raises(AiStemSplitterError) as caught:
        Play(max_retries=0).call(Reply(status, headers, body))
    str(caught.value)


def test_errors_do_not_keep_the_internal_failure() -> None:
    with pytest.raises(ConnectionFailed) as caught:
        Play(max_retries=0).call(RESET)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
