"""Settings of a client: arguments, environment variables, and the errors that name them."""

from __future__ import annotations

from typing import Any

import pytest

from aistemsplitter import (
    AiStemSplitter,
    AsyncAiStemSplitter,
    ConfigurationError,
    Timeouts,
)
from aistemsplitter._http import exchange
from aistemsplitter.testing import FakeService
from loopback import Loopback

HttpxClient = type("Client", (), {"__module__": "httpx"})  # the predecessor of httpx2


@pytest.mark.parametrize("key", ["", " ", "ast\n", " ast", "a b", "schlüssel", "a\0"])
def test_malformed_keys(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AiStemSplitter(key)
    assert not key.strip() or key not in str(caught.value)


def test_no_key() -> None:
    with pytest.raises(ConfigurationError, match="AISTEMSPLITTER_API_KEY"):
        AsyncAiStemSplitter()


def test_environment(monkeypatch: pytest.MonkeyPatch, loopback: Loopback) -> None:
    monkeypatch.setenv("AISTEMSPLITTER_API_KEY", "from_environment")
    monkeypatch.setenv("AISTEMSPLITTER_BASE_URL", loopback.url)
    with AiStemSplitter() as client:
        client.get_credits()
    with AiStemSplitter(api_key="given") as client:
        client.get_credits()
    sent = [headers["authorization"] for _, _, headers in loopback.seen]
    assert sent == ["Bearer from_environment", "Bearer given"]


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://x/v1", "https://", "http://a@b/v1", "http://x/v1?a=1",
            "http://[::1", "http://x:99999"],
)  # fmt: skip
def test_wrong_base_urls(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        AiStemSplitter("k", base_url=url)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": Timeouts(read=0)},
        {"max_retries": -1},
    ],
)
def test_wrong_numbers(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AiStemSplitter("k", **options)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"api_key": b"ast"}, "api_key="),
        ({"base_url": 7}, "base_url= must be a string"),
        ({"timeout": "soon"}, "timeout="),
        ({"max_retries": "3"}, "max_retries="),
        ({"max_retries": None}, "max_retries="),
        ({"proxy": "foo://x"}, "proxy="),
        ({"proxy": "http://[::1"}, "proxy="),
        ({"verify": "/none/such.pem"}, "/none/such.pem"),
        ({"verify": __file__}, "test_settings.py"),
        ({"verify": 7}, "verify="),
        ({"http_client": HttpxClient()}, r"must be an httpx2\.\w+, not httpx\.Client"),
        ({"http_client": object(), "proxy": "http://x"}, "http_client="),
        ({"transport": FakeService(), "verify": False}, "transport="),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], says: str) -> None:
    for kind in (AiStemSplitter, AsyncAiStemSplitter):
        with pytest.raises(ConfigurationError, match=says):
            kind(**{"api_key": "k", **wrong})


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ALL_PROXY", "socks5://me:secret@127.0.0.1:9", "ALL_PROXY is a SOCKS proxy.*httpx2.socks"),
        ("https_proxy", "socks5h://127.0.0.1:9", "https_proxy is a SOCKS proxy"),
        ("HTTPS_PROXY", "foo://x", "HTTPS_PROXY is not a valid proxy URL"),
        ("HTTP_PROXY", "http://[::1", "HTTP_PROXY is not a valid proxy URL"),
        ("SSL_CERT_FILE", "/none", "SSL_CERT_FILE=/none cannot be read: No such file"),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE=.*cannot be read"),
    ],
)
def test_wrong_variables_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    if variable.startswith("SSL"):  # the tests' certificates are passed as an argument
        options = exchange.options
        monkeypatch.setattr(exchange, "options", lambda: {**options(), "verify": True})
    monkeypatch.setenv(variable, value)
    for kind in (AiStemSplitter, AsyncAiStemSplitter):
        with pytest.raises(ConfigurationError, match=says) as caught:
            kind("k")
        assert "secret" not in str(caught.value)
