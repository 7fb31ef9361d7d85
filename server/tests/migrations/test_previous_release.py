"""The previous release beside this version, on one database, during an upgrade."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from aistemsplitter_server.kit.settings import Settings
from databases import Databases, only_postgres
from killing import write_songs
from ports import free_port
from processes import PATIENCE, Service, ended, running, split, state, until, upload

ROOT = Path(__file__).parents[3]
TAGS = "server-v*"
# Before the first release: the first version whose schema says which versions work with it.
UNRELEASED = "1a3b0d1236fa372c64f60c7329079820c6957001"
KEY = re.compile(r"ast_live_\w+")


def git(*arguments: str) -> str | None:
    """Run git in the repository; return its output, or None if it fails."""
    if shutil.which("git") is None:
        return None
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def previous() -> str:
    """Return the commit of the previous release; skip the test where it is not in the history."""
    commit = git("describe", "--tags", "--abbrev=0", f"--match={TAGS}", "HEAD^") or UNRELEASED
    if git("cat-file", "-e", f"{commit}^{{commit}}") is None:
        pytest.skip(
            f"{commit[:20]} is not in this checkout's history. In a shallow clone, fetch it with"
            " `git fetch --unshallow --tags`."
        )
    return commit


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of the previous release: its server's wheel, unpacked, and its engine."""
    commit = previous()
    folder = tmp_path_factory.mktemp("previous")
    archive = folder / "sources.tar"
    assert git("archive", f"--output={archive}", commit, "engine", "sdk", "server") is not None
    sources, target = folder / "sources", folder / "installed"
    shutil.unpack_archive(archive, sources, filter="data")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target]
    done = subprocess.run([*command, sources / "server"], capture_output=True, text=True)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"pip cannot build the previous release; is there an index? {done.stderr}")
    assert done.returncode == 0, done.stderr
    return [target, sources / "engine" / "src"]


@pytest.fixture
def empty(settings: Settings, databases: Databases) -> Iterator[Settings]:
    """Settings with an empty database."""
    databases.create(settings.database, migrated=False)
    yield settings
    databases.drop(settings.database)


@only_postgres
def test_an_upgrade_while_songs_are_split(
    installed: list[Path], empty: Settings, tmp_path: Path
) -> None:
    """Songs that either version accepts succeed, whichever of the two splits them."""
    file = write_songs(tmp_path / "songs")[1]
    with ExitStack() as stack:
        old = stack.enter_context(running(empty))
        old.environment["PYTHONPATH"] = os.pathsep.join(map(str, installed))
        new = stack.enter_context(running(empty))
        first_port, restarted_port, new_port = free_port(), free_port(), free_port()

        whole = old.start("up", "--port", str(first_port))
        before = stack.enter_context(client(first_port))
        until(lambda: ready(before, whole))
        for http in (before, after := stack.enter_context(client(new_port))):
            http.headers["Authorization"] = f"Bearer {key(old)}"
        song = upload(before, file)
        splits = [split(before, song), split(before, song)]
        until(lambda: state(before, splits[0])["status"] != "queued")

        assert new.start("db", "upgrade").wait() == 0
        until(lambda: ready(before, whole))
        splits.append(split(before, song))

        api = new.start("api", "--port", str(new_port))
        new.start("worker")
        until(lambda: ready(after, api))
        splits += [split(after, song), split(before, upload(after, file))]

        whole.terminate()
        assert whole.wait() == 0
        restarted = old.start("api", "--port", str(restarted_port))  # such as after a crash
        again = stack.enter_context(client(restarted_port))
        again.headers = after.headers
        until(lambda: ready(again, restarted))
        splits.append(split(again, song))

        for split_id in splits:
            assert ended(after, split_id)["status"] == "succeeded", split_id
            assert state(again, split_id)["status"] == "succeeded"
        for process in (api, restarted):
            process.terminate()
            process.wait()


def client(port: int) -> httpx2.Client:
    """Return a client of the API on this port."""
    return httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE)


def ready(http: httpx2.Client, process: subprocess.Popen[bytes]) -> bool:
    """Return whether the service is ready. Its process must not have ended."""
    assert process.poll() is None, process.args
    try:
        return http.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def key(service: Service) -> str:
    """Return the key that the first start printed."""
    found = KEY.search(service.log("up"))
    assert found is not None
    return found[0]
