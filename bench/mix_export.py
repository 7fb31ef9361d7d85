"""Memory of the song page's tab before, during and after the export of a mix.

    python bench/mix_export.py --minutes 10   # needs Chromium and the test dependencies

The song has four stems and its original, all loud noise: its files are as large as those of a
dense song, and its mix exceeds full scale, so that it is rendered twice. The memory is the RSS of
the tab's process and of the browser's, which holds the mix, without mapped files. No debugger is
connected while they are measured, because it keeps up to 200 MB of responses in the tab.
"""

# ruff: noqa: E402  # the tests' folder has to be on the path first

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[:0] = [str(Path(__file__).parents[1] / "server" / "tests")]

import httpx2
import psutil
from playwright.sync_api import sync_playwright

import customers
import databases
from aistemsplitter_server.app import create_app
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from browsers import FLAGS, chromium
from played import Player, noise
from player_pages import opened, session_of, sign_in
from ports import free_port
from processes import until
from serving import serving
from visitors import person

STEMS = ("vocals", "drums", "bass", "other", "mixture")
LEVEL = 9000  # of 32,768
EVERY = 5  # seconds
AFTER = 30  # seconds
# Without a debugger, only the page's title can be read.
EXPORT = """() => {
  const [button, status] = document.getElementById("mix").children;
  const begin = () => {
    button.click();
    setInterval(() => (document.title = status.textContent || "exported"), 200);
  };
  setTimeout(begin, 3000);
  document.title = "before";
}"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="mix-export-") as name:
        settings = Settings(data=Path(name) / "data")
        databases.migrate_up(settings.database)
        database = Database(settings.database)
        keys = secrets.load(settings.data)
        owner = person(database, keys, "owner@example.org", free_seconds=10_000)
        app = create_app(settings, database, keys)
        with serving(app) as client, _browser(Path(name) / "browser") as (process, port):
            base = f"http://localhost:{client.base_url.port}"
            split = customers.of(database, owner.account_id, owner.id).split(60)
            tracks = {
                stem: noise(arguments.minutes * 60, seed, LEVEL) for seed, stem in enumerate(STEMS)
            }
            Player(app, database, Path(name), base).store(split, tracks)
            with sync_playwright() as playwright:
                browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
                context = browser.contexts[0]
                sign_in(context, session_of(database, keys, owner))
                opened(context.pages[0], base, split).evaluate(EXPORT)
            _follow(process.pid, lambda: _title(port))
        database.close()


@contextmanager
def _browser(data: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run Chromium, and yield its process and the port of its debugger."""
    path = chromium()
    if path is None:
        sys.exit("No Chromium found. Install it: apt-get install chromium")
    port = free_port()
    own = ("--headless=new", f"--remote-debugging-port={port}", f"--user-data-dir={data}")
    process = subprocess.Popen([path, *FLAGS, *own, "about:blank"], stderr=subprocess.DEVNULL)
    try:
        until(lambda: _title(port) is not None)
        yield process, port
    finally:
        process.terminate()
        process.wait()


def _title(port: int) -> str | None:
    """Return the title of the only page."""
    try:
        pages = httpx2.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
    except httpx2.ConnectError:
        return None
    return next((str(each["title"]) for each in pages if each["type"] == "page"), None)


def _follow(pid: int, title: Callable[[], str | None]) -> None:
    """Print the memory until some time after the export has ended."""
    print(f"{'':26} {'tab, MB':>8} {'browser, MB':>12}")
    ended = None
    while ended is None or time.monotonic() - ended <= AFTER:
        now = title()
        if now == "exported" and ended is None:
            ended = time.monotonic()
        since = f"exported, {time.monotonic() - ended:.0f} s later" if ended else now
        processes = psutil.Process(pid).children(recursive=True)
        tab = max(_memory(each.pid) for each in processes if "--type=renderer" in each.cmdline())
        print(f"{since:26} {tab:8.0f} {_memory(pid):12.0f}", flush=True)
        time.sleep(EVERY)


def _memory(pid: int) -> float:
    """Return a process's memory without files that are mapped into it, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem")) / 1000


if __name__ == "__main__":
    main()
