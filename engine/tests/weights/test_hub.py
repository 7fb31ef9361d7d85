"""Downloads from the hub after the official site has failed, and their checks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aistemsplitter_engine.errors import DownloadError
from aistemsplitter_engine.weights.download import Servers, install
from aistemsplitter_engine.weights.store import find_files, is_installed


@pytest.mark.parametrize("fault", [("status", 404), ("status", 500), ("stall_after", 5)])
def test_the_hub_is_tried_second(
    fault: tuple[str, int], server: Any, published: Any, empty_machine: Path
) -> None:
    name, value = fault
    server.files[published.official_path] = published.content
    server.answers[published.official_path] = [getattr(server, name)(value)] * 4
    server.files[published.hub_path] = published.hub_content
    server.answers[published.hub_path] = [server.as_hub] * 4
    (path,) = install("some_model", servers=published.on(server, read_timeout=1))
    digest = hashlib.sha256(published.hub_content).hexdigest()
    assert path == empty_machine / f"feedbeef-{digest[:8]}.safetensors"
    assert find_files("some_model") == (path,)


def test_the_hub_is_used_if_the_official_site_is_gone(server: Any, published: Any) -> None:
    server.files[published.hub_path] = published.hub_content
    server.answers[published.hub_path] = [server.as_hub]
    install("some_model", servers=Servers("http://127.0.0.1:9", f"{server.url}/hub"))
    assert is_installed("some_model")


def test_a_download_from_the_hub_is_resumed(server: Any, published: Any) -> None:
    server.files[published.hub_path] = published.hub_content
    server.answers[published.hub_path] = [server.as_hub, server.as_hub]
    server.answers["/cdn"] = [server.cut_after(90_000)]
    install("some_model", servers=published.on(server))
    assert is_installed("some_model")
    assert server.ranges[-1] == "bytes=90000-"


@pytest.mark.parametrize(("digest", "reason"), [("0" * 64, "damaged"), ("", "not trusted")])
def test_the_hub_must_announce_the_checksum(
    digest: str, reason: str, server: Any, published: Any, left: Any
) -> None:
    def announce(request: Any, content: bytes) -> None:
        request.send(200, content, X_Linked_Etag=f'"{digest}"')

    server.files[published.hub_path] = published.hub_content
    server.answers[published.hub_path] = [announce]
    with pytest.raises(DownloadError, match=reason):
        install("some_model", servers=published.on(server))
    assert left() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sources": ["vocals", "drums", "bass", "other"]}, "its stems are"),
        ({"extra": torch.ones(9_000)}, "parameters"),
        ({"extra": torch.full((1,), torch.nan)}, "infinite or NaN"),
    ],
)
def test_another_model_from_the_hub_is_rejected(
    change: dict[str, Any],
    reason: str,
    server: Any,
    published: Any,
    left: Any,
    hub_file: Callable[..., bytes],
) -> None:
    server.files[published.hub_path] = hub_file(**change)
    server.answers[published.hub_path] = [server.as_hub]
    with pytest.raises(DownloadError, match=f"is not some_model: .*{reason}"):
        install("some_model", servers=published.on(server))
    assert left() == []
