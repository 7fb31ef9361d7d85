"""Lighthouse scores of the studio's first view, and the bytes that it transfers.

    python bench/lighthouse.py            # needs npm, Chromium and the test dependencies

Lighthouse is installed by npm into a folder of its own that is deleted afterwards; its last
version for Node 20 is used. The service runs as its users start it, with a user signed in.
"""

# ruff: noqa: E402  # the tests' folder has to be on the path first

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[:0] = [str(Path(__file__).parents[1] / "server" / "tests")]

import databases
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from processes import running
from visitors import Visitor, person

LIGHTHOUSE = "lighthouse@12"
PAGES = ("/sign-in", "/studio")
CATEGORIES = ("performance", "accessibility", "best-practices")
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-background-networking"


def main() -> None:
    """Measure, and print one line per page."""
    with TemporaryDirectory(prefix="lighthouse-") as name:
        folder = Path(name)
        install = ["npm", "install", "--no-audit", "--no-fund", "--silent", LIGHTHOUSE]
        subprocess.run(install, cwd=folder, check=True)
        settings = Settings(data=folder / "data")
        databases.migrate_up(settings.database)
        database = Database(settings.database)
        owner = person(database, secrets.load(settings.data), "owner@example.org", owner=True)
        database.close()
        with running(settings) as service, service.api() as client:
            visitor = Visitor(client)
            visitor.sign_in(owner.email)
            for page in PAGES:
                signed_in = page != "/sign-in"
                url = f"http://localhost:{client.base_url.port}{page}"
                _measure(folder, url, page, visitor.cookies if signed_in else {})


def _measure(folder: Path, url: str, page: str, cookies: dict[str, str]) -> None:
    report = folder / "report.json"
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    command = [
        *("npx", "lighthouse", url, "--quiet", "--output=json", f"--output-path={report}"),
        f"--only-categories={','.join(CATEGORIES)}",
        f"--chrome-flags={FLAGS}",
        f"--extra-headers={json.dumps(headers if cookies else {})}",
    ]
    chromium = shutil.which("chromium") or ""
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "CHROME_PATH": chromium})
    result = json.loads(report.read_text())
    scores = ", ".join(
        f"{name} {round(100 * result['categories'][name]['score'])}" for name in CATEGORIES
    )
    weight = result["audits"]["total-byte-weight"]["numericValue"] / 1000
    print(f"{page:10} {scores}; {weight:.0f} kB", flush=True)
    for audit in result["audits"].values():
        if audit["score"] is not None and audit["score"] < 0.9 and audit.get("details"):
            print(f"           {audit['id']}: {audit.get('displayValue') or audit['title']}")


if __name__ == "__main__":
    main()
