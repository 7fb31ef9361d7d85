"""Model files written by Demucs itself, and an HTTP server with scripted faults."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from demucs.htdemucs import HTDemucs
from demucs.states import save_with_checksum, serialize_model
from omegaconf import OmegaConf
from safetensors.torch import save

from aistemsplitter_engine.weights.catalogue import MODELS, ModelSpec, WeightFile
from aistemsplitter_engine.weights.download import Servers
from aistemsplitter_engine.weights.transfer import RetryPolicy

ARGUMENTS = {
    "channels": 16,
    "depth": 2,
    "nfft": 512,
    "bottom_channels": 0,
    "t_layers": 1,
    "t_heads": 1,
    "multi_freqs": [],
    "segment": Fraction(39, 5),
}
SOURCES = ["drums", "bass", "other", "vocals"]


@pytest.fixture(scope="session")
def demucs_model() -> HTDemucs:
    """A small HTDemucs of the original class, created as Demucs's training does."""
    torch.manual_seed(0)
    return HTDemucs(sources=SOURCES, **ARGUMENTS)


@pytest.fixture(scope="session")
def package(demucs_model: HTDemucs) -> dict[str, Any]:
    """The dictionary that Demucs's training saves, in half precision as by default."""
    training = {"dset": {"sources": SOURCES}, "seed": 42, "optim": {"lr": 3e-4}}
    return serialize_model(demucs_model, OmegaConf.create(training))


@pytest.fixture
def write_th(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a package with Demucs's own writer into a new folder."""
    count = 0

    def write(content: object) -> Path:
        nonlocal count
        count += 1
        folder = tmp_path / f"written{count}"
        folder.mkdir()
        save_with_checksum(content, folder / "model.th")
        (path,) = folder.iterdir()
        return path

    return write


@pytest.fixture(scope="session")
def small_th() -> bytes:
    """A .th file of two kilobytes, for changing bytes in it."""
    torch.manual_seed(1)
    buffer = io.BytesIO()
    torch.save(
        {
            "klass": HTDemucs,
            "args": (),
            "kwargs": {"sources": SOURCES, "segment": Fraction(39, 5)},
            "state": {"a": torch.randn(3, 4).half(), "b": torch.randn(5, 2).t()},
        },
        buffer,
    )
    return buffer.getvalue()


@pytest.fixture(scope="session")
def zip_around() -> Callable[..., bytes]:
    """Return a function that wraps the bytes of a pickle in a .th file."""

    def around(pickled: bytes, compression: int = zipfile.ZIP_STORED, **entries: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            archive.writestr("archive/data.pkl", pickled)
            for name, content in entries.items():
                archive.writestr(f"archive/{name}", content)
        return buffer.getvalue()

    return around


@pytest.fixture
def package_with(zip_around: Callable[..., bytes]) -> Callable[..., bytes]:
    """Return a function that makes a .th file with ``value`` pickled among its arguments."""

    def build(value: object, protocol: int = 2) -> bytes:
        content = {"klass": None, "args": (), "kwargs": {"x": value}, "state": {}}
        return zip_around(pickle.dumps(content, protocol))

    return build


Answer = Callable[["Request", bytes], None]


def etag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


class Request(BaseHTTPRequestHandler):
    """A request; by default it gets the response of a well-behaved file server."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.requests.append((self.path, dict(self.headers)))
        content = self.server.files.get(self.path, b"")
        answers = self.server.answers.get(self.path, [])
        if answers:
            answers.pop(0)(self, content)
        elif self.path in self.server.files:
            self.send_file(content)
        else:
            self.send(404, b"not here")

    def send(
        self, status: int, body: bytes, /, *, length: int | None = None, **headers: str
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, content: bytes, **headers: str) -> None:
        etag = etag_of(content)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", etag) == etag
        if asked and same and int(asked[1]) < len(content):
            start = int(asked[1])
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send(206, content[start:], ETag=etag, Content_Range=span, **headers)
        elif asked and same:
            self.send(416, b"", Content_Range=f"bytes */{len(content)}")
        else:
            self.send(200, content, ETag=etag, **headers)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server of ``files`` by path; ``answers`` by path replace the next responses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()

    def handle_error(self, *_: object) -> None:
        pass  # clients that hang up are part of the tests

    @property
    def ranges(self) -> list[str | None]:
        """The ``Range`` of each request."""
        return [headers.get("Range") for _, headers in self.requests]

    @staticmethod
    def cut_after(count: int) -> Answer:
        def answer(request: Request, content: bytes) -> None:
            request.send(200, content[:count], length=len(content), ETag=etag_of(content))

        return answer

    @staticmethod
    def stall_after(count: int) -> Answer:
        def answer(request: Request, content: bytes) -> None:
            request.send(200, content[:count], length=len(content), ETag=etag_of(content))
            request.server.closing.wait()

        return answer

    @staticmethod
    def status(code: int) -> Answer:
        return lambda request, _: request.send(code, b"no")

    @staticmethod
    def whole(request: Request, content: bytes) -> None:
        """Send the whole file, whatever range was requested."""
        request.send(200, content)

    @staticmethod
    def as_hub(request: Request, content: bytes) -> None:
        """Send the SHA-256 and a redirect to the content, as the hub does."""
        digest = hashlib.sha256(content).hexdigest()
        request.server.files["/cdn"] = content
        request.send(302, b"", Location="/cdn", X_Linked_Etag=f'"{digest}"')


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.closing.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without weights and proxies; returns the models folder."""
    for name in ("AISTEMSPLITTER_WEIGHTS_PATH", "AISTEMSPLITTER_WEIGHTS_MIRROR", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    models = tmp_path / "models"
    monkeypatch.setenv("AISTEMSPLITTER_MODELS_DIR", str(models))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    return models


@pytest.fixture
def left(empty_machine: Path) -> Callable[[], list[str]]:
    """Return a function that lists the models folder, without locks and recorded digests."""

    def names() -> list[str]:
        found = (path.name for path in empty_machine.iterdir())
        return sorted(name for name in found if not name.startswith((".", "digests")))

    return names


@dataclass(frozen=True)
class Published:
    """A model as it is published: one official file, and the same weights on the hub."""

    spec: ModelSpec
    file: WeightFile
    content: bytes
    hub_content: bytes
    official_path: str
    hub_path: str

    def on(self, server: Server, read_timeout: float = 30) -> Servers:
        """Return servers that are both ``server``; ``read_timeout`` is in seconds."""
        retries = RetryPolicy(read_timeout, attempts=4, delay=0.01)
        return Servers(f"{server.url}/official", f"{server.url}/hub", retries)


@pytest.fixture(scope="session")
def hub_file(package: dict[str, Any]) -> Callable[..., bytes]:
    """Return a function that writes the package as the hub has it, with the given changes."""

    def write(sources: list[str] = SOURCES, **tensors: torch.Tensor) -> bytes:
        arguments = ARGUMENTS | {
            "sources": sources,
            "segment": {"_type": "fraction", "numerator": 39, "denominator": 5},
        }
        metadata = {
            "klass": "demucs.htdemucs.HTDemucs",
            "args": "[]",
            "kwargs": json.dumps(arguments),
        }
        state = {name: tensor.contiguous() for name, tensor in package["state"].items()}
        return save(state | tensors, metadata)

    return write


@pytest.fixture
def published(
    package: dict[str, Any], hub_file: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> Published:
    """A catalogue entry for the test, with a known checksum."""
    size = 2 * sum(tensor.numel() for tensor in package["state"].values())
    content = random.Random(0).randbytes(size)  # only its checksum is checked
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"feedbeef-{sha256[:8]}.th"
    file = WeightFile("feedbeef", name, sha256, size, None, "somebody/Some-Model")
    spec = ModelSpec("some_model", (file,), tuple(SOURCES), size, "a licence", "A model.", "By us.")
    monkeypatch.setitem(MODELS, spec.name, spec)
    return Published(
        spec,
        file,
        content,
        hub_file(),
        f"/official/{name}",
        "/hub/somebody/Some-Model/resolve/main/feedbeef.safetensors",
    )
