from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from customers import customer
from peers import Peer, answers
from processes import SONG, running
from published_clients import Endpoint


@pytest.fixture
def endpoint(settings: Settings, database: Database, server_secrets: Secrets) -> Iterator[Endpoint]:
    """A whole service with a worker, and a loopback server with a song."""
    someone = customer(database, server_secrets, seconds=3600)
    with (
        running(settings) as service,
        service.api() as client,
        Peer([answers(200, SONG.read_bytes())]) as songs,
    ):
        service.start("worker")
        yield Endpoint(
            str(client.base_url.join("/v1")), someone.api_key, f"{songs.url}/mixture.flac"
        )


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published Python client, in a separate folder because it has our SDK's name."""
    folder = tmp_path_factory.mktemp("published")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--target", str(folder), "aistemsplitter==0.1.1"], check=True)
    return folder


@pytest.fixture(scope="session")
def published_node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published Node client."""
    folder = tmp_path_factory.mktemp("published-node")
    try:
        subprocess.run(["node", "--version"], check=True, capture_output=True)
    except OSError:
        pytest.skip("no Node.js here")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "@aistemsplitter/sdk@0.1.0"]
    subprocess.run(command, cwd=folder, check=True)
    return folder
