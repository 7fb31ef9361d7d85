"""Logging: enabling it by the environment, and its lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from aistemsplitter import AiStemSplitter
from aistemsplitter.testing import FakeService

logger = logging.getLogger("aistemsplitter")


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    level, handlers = logger.level, [*logger.handlers]
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


def run() -> None:
    service = FakeService()
    service.fail_next(503)
    with AiStemSplitter("ast_secret", transport=service) as client:
        client.get_credits()


def test_silent_by_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AISTEMSPLITTER_LOG", raising=False)
    run()
    assert capsys.readouterr().err == ""
    assert logger.handlers == []


@pytest.mark.parametrize("level", ["info", "DEBUG"])
def test_an_environment_variable_enables_the_log(
    level: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISTEMSPLITTER_LOG", level)
    run()
    run()  # the handler is added once
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" aistemsplitter ")[1][:28] for line in lines[:3]] == [
        "INFO GET /credits: 503 in 0.",
        "INFO GET /credits: UNAVAILAB",
        "INFO GET /credits: 200 in 0.",
    ]
    assert len(lines) == 6
    assert "(req_" in lines[0]
    assert "ast_secret" not in "".join(lines)
    assert logger.level == getattr(logging, level.upper())


def test_another_level_is_refused_with_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISTEMSPLITTER_LOG", "loud")
    run()
    assert "set it to debug or info" in caplog.text
    assert logger.handlers == []
