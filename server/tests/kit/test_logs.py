from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from aistemsplitter_server.kit import logs


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("_restored")
def test_a_line_is_json_with_the_bound_values() -> None:
    out = io.StringIO()
    logs.configure(out)
    structlog.contextvars.bind_contextvars(request_id="req_1")
    logging.getLogger("some.library").warning("%s is slow", "it", extra={"seconds": 3})
    entry = json.loads(out.getvalue())
    assert entry["event"] == "it is slow"
    assert entry["level"] == "warning"
    assert entry["logger"] == "some.library"
    assert (entry["request_id"], entry["seconds"]) == ("req_1", 3)
    assert entry["timestamp"].endswith("Z")


@pytest.mark.usefixtures("_restored")
def test_the_level() -> None:
    out = io.StringIO()
    logs.configure(out, level="warning")
    logging.getLogger("some.library").info("quiet")
    logging.getLogger("some.library").warning("loud")
    assert json.loads(out.getvalue())["event"] == "loud"


@pytest.mark.usefixtures("_restored")
def test_an_exception_stays_one_line() -> None:
    out = io.StringIO()
    logs.configure(out)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("a").exception("failed")
    assert out.getvalue().count("\n") == 1
    assert "RuntimeError: broken" in json.loads(out.getvalue())["exception"]


@pytest.mark.usefixtures("_restored")
def test_a_terminal_gets_plain_text() -> None:
    out = Terminal()
    logs.configure(out)
    logging.getLogger("a").info("started")
    assert "started" in out.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(out.getvalue())


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("out", [io.StringIO(), Terminal()], ids=["json", "terminal"])
def test_secrets_in_quoted_values_are_hidden(out: io.StringIO) -> None:
    logs.configure(out)
    quoted = [
        "ast_live_01JTB3Y6M8Q4W2N7C5D9E0F1GHhushhush",
        "whsec_hushhush+/=",
        "http://a/storage/k?expires=1&filename=x&signature=hush-hush_",
        "https://b/k?X-Amz-Signature=hush&x=1",
        "http://a/u?token=hush.hush",
    ]
    try:
        raise ValueError(quoted[0])
    except ValueError:
        logging.getLogger("a").exception(" ".join(quoted), extra={"url": quoted[2]})
    assert "hush" not in out.getvalue()
    assert "[hidden]" in out.getvalue()
