from __future__ import annotations

import httpx2
import pytest

from aistemsplitter_server.app import create_app
from aistemsplitter_server.kit import settings as kit_settings
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings, WrongSetting
from serving import serving

PAGE = "https://app.example"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
}


def test_no_cors_headers_by_default(client: httpx2.Client) -> None:
    assert client.options("/v1/credits", headers=PREFLIGHT).status_code == 405
    answer = client.get("/healthz", headers={"Origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_configured_origins_are_allowed(
    settings: Settings, database: Database, server_secrets: Secrets
) -> None:
    settings = settings.model_copy(update={"cors_origins": f"{PAGE}, http://localhost:3000"})
    with serving(create_app(settings, database, server_secrets)) as client:
        answer = client.options("/v1/credits", headers=PREFLIGHT)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "request-id" in answer.headers
        # A page can also read errors, wherever in the stack they occur.
        for path, sent in (("/v1/credits", b""), ("/v1/credits", b"{"), ("/v1/nothing", b"")):
            answer = client.request("POST", path, content=sent, headers={"Origin": PAGE})
            assert answer.status_code >= 400
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "request-id" in answer.headers["access-control-expose-headers"].lower()
        stranger = {**PREFLIGHT, "Origin": "https://evil.example"}
        answer = client.options("/v1/credits", headers=stranger)
        assert "access-control-allow-origin" not in answer.headers


def test_cors_never_applies_to_the_web_pages(
    settings: Settings, database: Database, server_secrets: Secrets
) -> None:
    settings = settings.model_copy(update={"cors_origins": "*"})
    with serving(create_app(settings, database, server_secrets)) as client:
        assert client.options("/v1/credits", headers=PREFLIGHT).status_code == 200
        cookie = {"Cookie": "__Host-session=x"}
        for path in ("/sign-in", "/studio", "/shared/x"):
            for answer in (
                client.options(path, headers=PREFLIGHT),
                client.get(path, headers={"Origin": PAGE, "Accept": "text/html", **cookie}),
                client.post(path, headers={"Origin": PAGE, "Accept": "text/html", **cookie}),
            ):
                allowed = [name for name in answer.headers if name.startswith("access-control")]
                assert not allowed, (path, answer.status_code)


@pytest.mark.parametrize("wrong", ["app.example", "https://app.example/", "https://*.example", "x"])
def test_an_invalid_origin_is_named(wrong: str) -> None:
    with pytest.raises(WrongSetting, match=r"CORS_ORIGINS: .* is not an origin"):
        kit_settings.load(cors_origins=wrong)
