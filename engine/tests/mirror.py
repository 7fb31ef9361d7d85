"""A model in the catalogue, and a mirror on loopback that serves its file."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aistemsplitter_engine.weights.catalogue import MODELS, ModelSpec, WeightFile
from aistemsplitter_engine.weights.store import TINY

NAME = "some_model"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Published:
    """A model, its file on the mirror, and the requests for it."""

    spec: ModelSpec
    path: Path
    requests: list[str]


def described(content: bytes, stems: tuple[str, ...]) -> ModelSpec:
    """Return a catalogue entry of a model whose only file has this content."""
    digest = hashlib.sha256(content).hexdigest()
    file = WeightFile("feedbeef", f"feedbeef-{digest[:8]}.th", digest, len(content), None, "x/y")
    return ModelSpec(NAME, (file,), stems, len(content), "a licence", "A model.", "By us.")


@contextmanager
def _mirror(
    handler: Callable[..., QuietHandler], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Serve requests with a handler, at the URL from which weights are downloaded."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_MIRROR", url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def published(
    content: bytes, spec: ModelSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Published]:
    """Serve the file of a model, and put it into the catalogue."""
    path = folder / "mirror" / spec.files[0].name
    path.parent.mkdir()
    path.write_bytes(content)
    monkeypatch.setitem(MODELS, spec.name, spec)
    requests: list[str] = []

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            super().do_GET()

    with _mirror(functools.partial(Handler, directory=str(path.parent)), monkeypatch):
        yield Published(spec, path, requests)


@contextmanager
def stalled(
    content: bytes, sent: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[threading.Event]:
    """Be a mirror whose downloads stall after ``sent`` bytes; yield an event set by the first."""
    begun, over = threading.Event(), threading.Event()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:sent])
            begun.set()
            over.wait()

    with _mirror(Handler, monkeypatch):
        try:
            yield begun
        finally:
            over.set()


@contextmanager
def published_tiny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    """Serve the demonstration model's file as that of ``some_model``."""
    content = TINY.read_bytes()
    stems = MODELS["htdemucs_tiny"].sources
    with published(content, described(content, stems), folder, monkeypatch) as model:
        yield model
