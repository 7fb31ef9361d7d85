"""The real service for tests of its clients: API and worker processes in demo mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

from ports import free_port

COMMAND = (sys.executable, "-c", "from aistemsplitter_server.cli import main; main()")
STARTS_WITHIN = 180.0  # seconds; only reached if a test fails


@dataclass(frozen=True, slots=True)
class RealService:
    """A running service, and an API key of an account with enough credits."""

    url: str
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """Return this process's environment with the SDK's settings for the service."""
        return {
            **os.environ,
            "AISTEMSPLITTER_BASE_URL": self.url,
            "AISTEMSPLITTER_API_KEY": self.api_key,
            "AISTEMSPLITTER_WEBHOOK_SECRET": self.webhook_secret,
        }


@contextmanager
def real_service(folder: Path, **settings: str) -> Iterator[RealService]:
    """Start an API and a worker process with their data in a folder."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if "AISTEMSPLITTER" not in name},
        "AISTEMSPLITTER_SERVER_DATA": str(folder / "data"),
        "AISTEMSPLITTER_SERVER_DEMO": "true",
        "AISTEMSPLITTER_SERVER_PORT": str(port),
        "AISTEMSPLITTER_SERVER_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
        "AISTEMSPLITTER_SERVER_RATE_LIMIT_PER_MINUTE": "0",
        "AISTEMSPLITTER_SERVER_FREE_MINUTES": "100000",
        **{f"AISTEMSPLITTER_SERVER_{name.upper()}": value for name, value in settings.items()},
    }

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*COMMAND, *arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    run("db", "upgrade")
    key = json.loads(run("keys", "create", "--json"))
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        for name in ("api", "worker"):
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen([*COMMAND, name], env=environment, stdout=log, stderr=log)
            stack.callback(_stop, process)
        _wait_until_ready(url, folder)
        yield RealService(url, key["apiKey"], key["webhookSecret"])


def _wait_until_ready(url: str, folder: Path) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    logs = "\n".join(path.read_text()[-3000:] for path in folder.glob("*.log"))
    raise TimeoutError(f"the service was not ready within {STARTS_WITHIN:g} s:\n{logs}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(300)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
