from __future__ import annotations

import pickle
from typing import Any

import pytest

import aistemsplitter
from aistemsplitter import _errors
from aistemsplitter._models import ErrorInfo, Split

KINDS = [
    kind
    for kind in vars(_errors).values()
    if isinstance(kind, type) and issubclass(kind, aistemsplitter.AiStemSplitterError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_pickles(kind: type[aistemsplitter.AiStemSplitterError]) -> None:
    facts: dict[str, Any] = {"code": "X", "status": 402, "request_id": "req_1"}
    if kind is _errors.WaitTimeout:
        facts = {"split_id": "split_1"}
    elif kind is _errors.SplitFailed:
        split = Split(id="split_1", status="failed", error=ErrorInfo(code="INTERNAL"))
        facts = {"split": split, "code": "INTERNAL"}
    error = kind("what happened", **facts)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.__dict__ == error.__dict__
    assert str(again) == str(error)
    assert again.args == error.args


def test_text_names_code_status_and_request() -> None:
    error = _errors.NotFound("no such split", status=404, request_id="req_7")
    assert str(error) == "no such split (NOT_FOUND, HTTP 404, request req_7)"


def test_errors_inherit_from_builtin_exceptions() -> None:
    assert issubclass(_errors.WaitTimeout, TimeoutError)
    assert issubclass(_errors.InputError, ValueError)
