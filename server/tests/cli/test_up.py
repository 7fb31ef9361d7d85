"""``up`` as its users run it."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import segno
from cryptography.hazmat.primitives.serialization import Encoding

from aistemsplitter_server.cli import supervisor
from aistemsplitter_server.cli.supervisor import Child, GaveUp
from aistemsplitter_server.http import lan
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.settings import PREFIX
from command_line import COMMAND, run_process
from ports import free_port
from processes import ended, split, state, until, upload

KEY = re.compile(r"^export AISTEMSPLITTER_API_KEY=(ast_live_\w+)$", re.MULTILINE)


class Up:
    """A running ``up`` and its output."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.output, self.log = folder / "output.txt", folder / "log.txt"
        command = [*COMMAND, "up", "--demo", "--offline", "--port", str(self.port), *options]
        with self.output.open("w") as output, self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, PREFIX + "DATA": "data"},
                stdout=output,
                stderr=log,
            )

    def ready(self) -> None:
        """Wait until the service is ready."""
        until(lambda: self.process.poll() is not None or self._answers())
        assert self.process.poll() is None, self.log.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(90)

    def client(self, api_key: str) -> httpx2.Client:
        """Return a client of its API."""
        return httpx2.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {api_key}"},
            trust_env=False,
            timeout=60,
        )

    def _answers(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.port}/readyz"
            return httpx2.get(url, trust_env=False, timeout=60).status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Up]:
    """Start ``up``, yield it once ready, and kill it with all its child processes."""
    up = Up(folder, *options)
    try:
        up.ready()
        yield up
    finally:
        for pid in [*descendants(up.process.pid), up.process.pid]:
            if up.process.poll() is None or pid != up.process.pid:
                os.kill(pid, signal.SIGKILL)
        up.process.wait()


def descendants(pid: int) -> list[int]:
    """Return its child processes and theirs."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(entry) == pid:
            found += [int(entry.name), *descendants(int(entry.name))]
    return found


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid: int) -> bool:
    """Return whether the process is running; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def child(up: Up, name: str) -> int:
    """Return the process id of one of its two children."""
    for pid in descendants(up.process.pid):
        if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    raise AssertionError(f"there is no {name}")


def test_first_start_restart_of_a_killed_process_and_shutdown(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        said = up.output.read_text()
        assert said.startswith(f"Base URL        http://127.0.0.1:{up.port}/v1\nData  ")
        assert "htdemucs_tiny" in said
        found = KEY.search(said)
        assert found is not None
        # Ready to paste, with the base URL: without it a client would call the public service.
        base_url, _key, secret = re.findall(r"^export .*$", said, re.MULTILINE)
        assert base_url == f"export AISTEMSPLITTER_BASE_URL=http://127.0.0.1:{up.port}/v1"
        assert secret.startswith("export AISTEMSPLITTER_WEBHOOK_SECRET=whsec_")
        data = tmp_path / "data"
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE((data / "secret").stat().st_mode) == 0o600

        second = run_process(tmp_path, "up", "--port", str(free_port()))
        assert (second.returncode, second.stderr.count("\n")) == (1, 1)
        assert "in use by another" in second.stderr

        killed = child(up, "api")
        os.kill(killed, signal.SIGKILL)
        until(lambda: "the API has ended (status -9)" in up.log.read_text())
        up.ready()
        assert child(up, "api") != killed
        with up.client(found[1]) as client:
            final = ended(client, split(client, upload(client), stemModel="htdemucs"))
        assert (final["status"], final["servedBy"]) == ("succeeded", "htdemucs_tiny")
        loaded = Path(f"/proc/{child(up, 'api')}/maps").read_text()
        assert "pydantic_core" in loaded
        for library in ("numpy", "openvino", "libavcodec"):  # the engine process
            assert library not in loaded

        processes = descendants(up.process.pid)
        assert up.end() == 0
        assert not any(map(alive, processes))
        for text in (up.output.read_text(), up.log.read_text()):
            assert "\x1b" not in text
            assert "Traceback" not in text

    with running(tmp_path) as up:
        assert KEY.search(up.output.read_text()) is None  # shown once
        assert up.end(signal.SIGINT) == 0


def test_requests_wait_while_the_api_restarts(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        api = child(up, "api")
        os.kill(api, signal.SIGKILL)
        until(lambda: not alive(api))
        url = f"http://127.0.0.1:{up.port}/healthz"
        assert httpx2.get(url, trust_env=False, timeout=300).status_code == 200


def test_an_interrupted_separation_is_resumed(tmp_path: Path, long_song: Path) -> None:
    with running(tmp_path) as up:
        key = KEY.search(up.output.read_text())
        assert key is not None
        with up.client(key[1]) as client:
            split_id = split(client, upload(client, long_song))
            until(lambda: state(client, split_id)["progress"] > 0.1)
        assert up.end() == 0
    with running(tmp_path) as up, up.client(key[1]) as client:
        final = ended(client, split_id)
        assert final["status"] == "succeeded", final


def test_no_process_outlives_up(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        processes = descendants(up.process.pid)
        assert len(processes) >= 3  # API, worker, and the worker's engine
        up.end(signal.SIGKILL)
        until(lambda: not any(map(alive, processes)))


def test_a_second_signal_stops_up_immediately(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        processes = descendants(up.process.pid)
        api = child(up, "api")
        os.kill(child(up, "worker"), signal.SIGSTOP)  # it never finishes draining
        up.process.send_signal(signal.SIGINT)
        until(lambda: not alive(api) or "Shutting down" in up.log.read_text())
        assert up.end(signal.SIGINT) == 0
        until(lambda: not any(map(alive, processes)))


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = run_process(tmp_path, "up", "--port", str(other.getsockname()[1]))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "--port" in done.stderr
    assert "ast_live_" not in done.stdout


def test_devices_on_the_network_are_served_over_https(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv(PREFIX + "LAN_PORT", str(port))
    data = tmp_path / "data"

    networks = lan.addresses()

    with running(tmp_path, "--lan") as up:
        said = up.output.read_text()
        key = KEY.search(said)
        assert key is not None
        assert stat.S_IMODE((data / lan.KEY).stat().st_mode) == 0o600
        trusted = ssl.create_default_context(cafile=data / lan.CERTIFICATE)
        trusted.verify_flags |= ssl.VERIFY_X509_STRICT
        with httpx2.Client(verify=trusted, trust_env=False, timeout=60) as device:
            for address in ("127.0.0.1", *networks):
                page = device.get(f"https://{address}:{port}/sign-in")
                assert page.status_code == 200
                assert "Browsers don’t keep a session otherwise" not in page.text
            # URLs in responses lead where the client came from.
            device.headers["Authorization"] = f"Bearer {key[1]}"
            upload = {"filename": "a.wav", "contentType": "audio/wav", "contentLength": 9}
            answer = device.post(f"https://127.0.0.1:{port}/v1/audio/uploads", json=upload)
            assert answer.json()["data"]["uploadUrl"].startswith(f"https://127.0.0.1:{port}/")
            with up.client(key[1]) as client:  # as without --lan
                assert client.get("/v1/credits").status_code == 200
        assert up.end() == 0
        assert "Traceback" not in up.log.read_text()
    identity = lan.identity(data, networks, times.now())
    for address in networks:
        assert f"https://{address}:{port}" in said
    if networks:
        assert f"SHA-256 {identity.fingerprint}" in said
        link = re.search(r"/join/\S+", said)
        assert link is not None
        code = segno.make(f"https://{networks[0]}:{port}{link[0]}", error="l", micro=False)
        assert drawn(said) == [[bool(module) for module in row] for row in code.matrix]

    with running(tmp_path, "--lan") as up:  # devices that trust the certificate still do
        shown = ssl.get_server_certificate(("127.0.0.1", port), timeout=60)
        assert shown == (data / lan.CERTIFICATE).read_text()
        assert shown == identity.certificate.public_bytes(Encoding.PEM).decode()
        assert up.end() == 0


def drawn(output: str) -> list[list[bool]]:
    """Return the modules of the QR code in the output, without its margin; true is dark."""
    lines = [line for line in output.splitlines() if line and not line.strip("█▀▄ ")]
    rows = [[block in dark for block in line] for line in lines for dark in ("▄ ", "▀ ")]
    size = len(rows[0]) - 4
    return [row[2 : 2 + size] for row in rows[2 : 2 + size]]


def test_lan_with_links_that_lead_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + "PUBLIC_URL", "https://splitter.example")
    done = run_process(tmp_path, "up", "--lan", "--port", str(free_port()))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"remove {PREFIX}PUBLIC_URL" in done.stderr


def test_up_exits_if_a_process_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PAUSES", (0.01, 0.01))
    lasting = Child("other", [sys.executable, "-c", "import time; time.sleep(600)"])
    broken = Child("thing", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(GaveUp, match=r"the thing keeps failing right after its start \(status 3\)"):
        supervisor.supervise([lasting, broken], os.environ)
    assert lasting.process is not None
    assert lasting.process.poll() is not None
