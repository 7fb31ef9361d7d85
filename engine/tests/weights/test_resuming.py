"""A resumed download keeps the partial file and requests only the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aistemsplitter_engine.errors import DownloadError
from aistemsplitter_engine.weights.download import Servers, install
from aistemsplitter_engine.weights.store import is_installed
from aistemsplitter_engine.weights.transfer import RetryPolicy


@pytest.mark.parametrize("fault", ["cut_after", "stall_after"])
def test_a_dropped_connection_is_resumed(fault: str, server: Any, published: Any) -> None:
    server.files[published.official_path] = published.content
    server.answers[published.official_path] = [getattr(server, fault)(70_000)]
    install("some_model", servers=published.on(server, read_timeout=1))
    assert is_installed("some_model")
    assert server.ranges == [None, "bytes=70000-"]
    assert server.requests[1][1]["If-Range"].startswith('"')


def test_a_file_that_changed_is_downloaded_from_the_start(server: Any, published: Any) -> None:
    def cut_short_of_another_file(request: Any, content: bytes) -> None:
        request.send(200, b"?" * 1000, length=len(content), ETag='"another"')

    server.files[published.official_path] = published.content
    server.answers[published.official_path] = [cut_short_of_another_file]
    install("some_model", servers=published.on(server))
    assert is_installed("some_model")
    assert server.ranges == [None, "bytes=1000-"]
    assert server.requests[1][1]["If-Range"] == '"another"'


def test_a_later_run_requests_only_the_rest(
    server: Any, published: Any, empty_machine: Path, left: Any
) -> None:
    server.files[published.official_path] = published.content
    once = Servers(f"{server.url}/official", None, RetryPolicy(attempts=1))

    server.answers[published.official_path] = [server.cut_after(50_000)]
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 failed 1 times"):
        install("some_model", servers=once)
    assert (empty_machine / f"{published.file.name}.part").stat().st_size == 50_000
    steps: list[tuple[int, int]] = []
    install("some_model", on_progress=lambda *step: steps.append(step), servers=once)
    assert server.ranges == [None, "bytes=50000-"]
    assert steps[0][0] > 50_000
    assert left() == [published.file.name]


def test_a_complete_partial_file_is_not_downloaded_again(
    server: Any, published: Any, empty_machine: Path
) -> None:
    """The process was killed between the last byte and the renaming."""
    server.files[published.official_path] = published.content
    empty_machine.mkdir()
    (empty_machine / f"{published.file.name}.part").write_bytes(published.content)
    install("some_model", servers=published.on(server))
    assert is_installed("some_model")


@pytest.mark.parametrize(
    "span", ["", "bytes 0-9/{n}", "bytes 1000-1999/{n}", "bytes 1000-", "lines 1000-{n}/{n}"]
)
def test_a_wrong_range_is_not_appended(
    span: str, server: Any, published: Any, empty_machine: Path
) -> None:
    empty_machine.mkdir()
    (empty_machine / f"{published.file.name}.part").write_bytes(published.content[:1000])
    server.files[published.official_path] = published.content
    server.answers[published.official_path] = [
        lambda request, content: request.send(
            206, content[1000:2000], Content_Range=span.format(n=len(content))
        )
    ]
    install("some_model", servers=published.on(server))
    assert is_installed("some_model")
    assert server.ranges == ["bytes=1000-", None]


def test_a_server_without_ranges_starts_over(
    server: Any, published: Any, empty_machine: Path
) -> None:
    empty_machine.mkdir()
    (empty_machine / f"{published.file.name}.part").write_bytes(b"?" * 1000)
    server.answers[published.official_path] = [server.whole]
    server.files[published.official_path] = published.content
    install("some_model", servers=published.on(server))
    assert is_installed("some_model")


def test_parts_of_two_files_are_downloaded_again(
    server: Any, published: Any, empty_machine: Path
) -> None:
    """Without a stored validator, only the checksum detects the mix."""
    empty_machine.mkdir()
    (empty_machine / f"{published.file.name}.part").write_bytes(b"?" * 1000)
    server.files[published.official_path] = published.content
    install("some_model", servers=published.on(server))
    assert is_installed("some_model")
    assert server.ranges == ["bytes=1000-", None]
