"""One deadline covers everything that a call does, however slow the server is."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter import (
    AiStemSplitter,
    AsyncAiStemSplitter,
    ConfigurationError,
    DeadlineExceeded,
    Timeouts,
    UploadFailed,
    WaitTimeout,
    _core,
)
from clients import KEY, Runner
from loopback import Loopback

URL = "https://example.com/song.mp3"
SLOW = 80  # bytes, sent one every 50 ms


@pytest.mark.parametrize("fault", ["drip", "drip_body"])
def test_slow_responses(kind: str, loopback: Loopback, fault: str) -> None:
    loopback.service.balance = 10**SLOW  # a long enough body
    loopback.fault(fault, "credits", at=SLOW)
    with pytest.raises(DeadlineExceeded, match="within the call's deadline"):
        Runner(kind, base_url=loopback.url, timeout=0.4).get_credits()


def test_slow_responses_while_waiting(kind: str, loopback: Loopback) -> None:
    client = Runner(kind, base_url=loopback.url)
    job = client.submit(audio_url=URL)
    loopback.fault("drip", job.id, at=SLOW, times=99)
    with pytest.raises(WaitTimeout):
        client.wait(job.id, timeout=0.4)


def test_a_number_also_limits_reads(kind: str, loopback: Loopback) -> None:
    """A plain number limits the time between two reads as well as the whole call."""
    client = Runner(kind, base_url=loopback.url, timeout=0.3, max_retries=0)
    loopback.fault("hold", "credits")
    with pytest.raises(DeadlineExceeded, match="within the call's deadline"):
        client.get_credits()


def test_uploads_keep_to_the_deadline(kind: str, loopback: Loopback) -> None:
    loopback.fault("hold", "^/storage/", times=99)
    client = Runner(kind, base_url=loopback.url, timeout=0.4)
    with pytest.raises(DeadlineExceeded, match="audio was not uploaded"):
        client.submit(b"RIFF")


def test_uploads_begin_no_pause_that_exceeds_the_deadline(kind: str, loopback: Loopback) -> None:
    loopback.service.fail_next(503, path="/storage/", retry_after=100_000, times=99)
    with pytest.raises(UploadFailed, match="audio was not uploaded") as caught:
        Runner(kind, base_url=loopback.url, timeout=20).submit(b"RIFF")
    assert caught.value.retry_after == 100_000


def test_retry_after_of_uploads_is_capped(
    kind: str, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_core, "LONGEST_RETRY_AFTER", 0.01)
    loopback.service.fail_next(503, path="/storage/", retry_after=100_000)
    Runner(kind, base_url=loopback.url).submit(b"RIFF")


def test_host_names_that_never_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = threading.Event()

    def resolve(*_: object, **__: object) -> Any:
        resolved.wait()
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    try:
        with (
            AiStemSplitter(KEY, base_url="http://slow.test", timeout=0.2) as client,
            pytest.raises(DeadlineExceeded),
        ):
            client.get_credits()
    finally:
        resolved.set()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal can be sent there")
def test_ctrl_c_ends_a_stalled_download(loopback: Loopback, tmp_path: Path) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        job = client.submit(audio_url=URL)
    loopback.service.finish(job.id)
    loopback.fault("stall", "^/storage/", at=10, times=99)
    program = (
        "import signal, sys; from aistemsplitter import AiStemSplitter\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # may be inherited as ignored
        f"with AiStemSplitter({KEY!r}, base_url={loopback.url!r}) as client:\n"
        f"    try: client.download({job.id!r}, {str(tmp_path)!r})\n"
        "    except KeyboardInterrupt: sys.exit(42)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        while not any(path.startswith("/storage/") for _, path, _ in loopback.seen):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=15) == 42  # a read may be silent for 30 s
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind_of", [AiStemSplitter, AsyncAiStemSplitter])
def test_settings(kind_of: Any) -> None:
    def limits(client: Any) -> Timeouts:
        found: Timeouts = client._session.timeouts
        return found

    client = kind_of(KEY, timeout=300)
    assert limits(client) == Timeouts(total=300, connect=10, read=300, write=300)
    assert limits(kind_of(KEY)) == Timeouts()
    client = kind_of(KEY, timeout=Timeouts(total=30, connect=5))
    assert limits(client) == Timeouts(total=30, connect=5, read=30, write=30)
    assert limits(client.with_options(timeout=7)) == Timeouts(total=7, connect=5, read=7, write=7)
    assert limits(client.with_options(max_retries=1)) == limits(client)
    with pytest.raises(ConfigurationError, match="total"):
        kind_of(KEY, timeout=0)
