"""Parsers of external input take linear time: four times the input, about four times the time.

CPU times are only compared with each other. Inputs are as long as the limits before a parser allow,
because quadratic time shows most there.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from uvicorn.server import ServerState

from aistemsplitter_server.http import serving
from aistemsplitter_server.kit import outgoing, strict_json, times
from aistemsplitter_server.kit.errors import ApiError
from aistemsplitter_server.kit.outgoing import NotAllowed
from aistemsplitter_server.splits import idempotency
from aistemsplitter_server.splits.schemas import CreateSplit
from aistemsplitter_server.storage import headers as object_headers
from aistemsplitter_server.storage import ranges
from aistemsplitter_server.uploads import receiving
from aistemsplitter_server.uploads import service as uploads
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.web import texts
from aistemsplitter_server.webhooks import schedule
from customers import Customer
from databases import only_sqlite

MOST = 8.0  # cost relative to a quarter of the input: 4 if linear (more with caches), 16 if square
ROUNDS = 3
LEAST = 0.004  # seconds of one measurement
HEAD = serving.HEAD_LIMIT // 2 - 1024
BODY = (1 << 19) - 1024
KEYS = strict_json.STRUCTURE // 4
FORM = (1 << 13) - 64

Parse = Callable[[int], Any]


def cost(parse: Parse, size: int, calls: int) -> float:
    gc.disable()  # a collection scans the whole process, not only the parsed input
    try:
        began = time.process_time()
        for _ in range(calls):
            with suppress(ApiError, NotAllowed, ValueError):
                parse(size)
        return time.process_time() - began
    finally:
        gc.enable()


def assert_linear(parse: Parse, size: int, name: str = "") -> None:
    """Compare the costs of half and twice the size, each the minimum of some rounds."""
    small, large = ends(size)
    calls = 1
    while cost(parse, small, calls) < LEAST:
        calls *= 2
    for attempt in reversed(range(4)):
        rounds = [[cost(parse, each, calls) for each in (small, large)] for _ in range(ROUNDS)]
        less, more = map(min, zip(*rounds, strict=True))
        if more <= MOST * less:
            return
        assert attempt, f"{name}: {less:.4f} s for {small}, {more:.4f} s for {large}"


def ends(size: int) -> tuple[int, int]:
    """Return the two sizes to compare."""
    return size // 2, 2 * size


def repeated(part: bytes, size: int) -> bytes:
    """Return the part repeated to that many bytes."""
    return part * (size // len(part))


def keys(number: int, *more: int) -> bytes:
    """Return a JSON object with that many keys, and more fields."""
    return b"{%s}" % ",".join(f'"{key}":0' for key in (*range(number), *more)).encode()


JSON: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "text": (BODY, lambda n: b'{"a":"%s"}' % (b"a" * n)),
    "escapes": (BODY, lambda n: b'{"a":"%s"}' % repeated(b"\\u00e9", n)),
    "spaces": (BODY, lambda n: b" " * n + b"0"),
    "keys": (KEYS, lambda n: keys(n)),
    "keys that come twice": (KEYS // 2, lambda n: keys(n, *range(n))),
    "the last key twice": (KEYS, lambda n: keys(n, n - 1)),
    "few long keys": (BODY, lambda n: b'{"%s":0,"%s":1}' % (b"a" * n, b"a" * n)),
    "list": (strict_json.STRUCTURE // 2, lambda n: b"[" + b"0," * (n - 2) + b"0]"),
    "lists": (strict_json.STRUCTURE // 8, lambda n: b"[" + b"[]," * (n - 2) + b"0]"),
    "depth": (BODY, lambda n: b"[" * n),
    "closed depth": (BODY // 2, lambda n: b"[" * n + b"]" * n),
    "depth of objects": (BODY, lambda n: repeated(b'{"a":', n)),
    "digits": (BODY, lambda n: b"1" * n),
    "digits of a fraction": (BODY, lambda n: b"0." + b"1" * n),
    "numbers": (BODY, lambda n: b"[%s0]" % repeated(b"9" * 4000 + b",", n)),
    "quotes": (BODY, lambda n: b'"' * n),
    "backslashes": (BODY, lambda n: b'"' + b"\\" * n),
}


@pytest.mark.parametrize("name", JSON)
def test_json(name: str) -> None:
    size, made = JSON[name]
    bodies = {each: made(each) for each in ends(size)}
    assert_linear(lambda n: strict_json.check(bodies[n]), size)


def split_of(n: int, **fields: Any) -> CreateSplit:
    source = {"type": "direct_url", "url": "https://a.example/" + "a" * n}
    return CreateSplit.model_validate({"input": source, **fields})


def retry_after(text: str) -> Any:
    return schedule.next_attempt(1, text, times.now())


PARSERS: dict[str, tuple[int, Parse]] = {
    "metadata": (500, lambda n: split_of(1, metadata={f"k{i}": "v" * n for i in range(50)})),
    "metadata entries": (500, lambda n: split_of(1, metadata={f"k{i}": "v" for i in range(n)})),
    "stems": (500, lambda n: split_of(1, stems=["vocals"] * n)),
    "fingerprint": (4000, lambda n: idempotency.fingerprint(split_of(n))),
    "url": (4000, lambda n: outgoing.check("https://a.example/" + "%41/../" * (n // 7))),
    "host": (4000, lambda n: outgoing.check("https://" + "a" * n)),
    "labels": (4000, lambda n: outgoing.check("https://" + "a." * (n // 2))),
    "foreign host": (4000, lambda n: outgoing.check("https://" + "é" * n)),
    "foreign labels": (4000, lambda n: outgoing.check("https://" + "é." * (n // 2))),
    "userinfo": (4000, lambda n: outgoing.check("https://" + "@:" * (n // 2))),
    "own url": (4000, lambda n: uploads.by_audio_url(Mock(), "", "http://a/uploads/" + "A" * n)),
    "filename": (HEAD, lambda n: uploads.display_name("/\\" * (n // 2))),
    "disposition": (HEAD // 4, lambda n: object_headers.content_disposition("\u202e.é" * (n // 4))),
    "range": (HEAD, lambda n: ranges.wanted("bytes=" + " " * n, None, "", 9)),
    "range of spaces": (HEAD, lambda n: ranges.wanted(f"bytes=1-2{' ' * n}x", None, "", 9)),
    "digits of a range": (HEAD, lambda n: ranges.wanted("bytes=" + "1" * n, None, "", 9)),
    "ranges": (HEAD, lambda n: ranges.wanted("bytes=" + "1-2," * (n // 4), None, "", 9)),
    "language": (HEAD, lambda n: texts.chosen(None, "a-b;q=0.1," * (n // 10))),
    "tag": (HEAD, lambda n: texts.chosen(None, "a-" * (n // 2) + ";")),
    "retry-after": (HEAD, lambda n: retry_after("1" * n)),
    "retry-after in words": (HEAD, lambda n: retry_after("Mon, " * (n // 5))),
    "retry-after in comments": (HEAD, lambda n: retry_after("(" * n)),
    "retry-after with colons": (HEAD, lambda n: retry_after("Mon, 01 Jan 2030 " + "1:" * (n // 2))),
}


@pytest.mark.parametrize("name", PARSERS)
def test_values(name: str) -> None:
    size, parse = PARSERS[name]
    assert_linear(parse, size)


def on_wire(parts: list[bytes]) -> None:
    """Let the server's protocol parse these parts."""

    async def fed() -> None:
        protocol = cast(Any, config.http_protocol_class)(config, ServerState(), {})
        protocol.connection_made(Mock(is_closing=lambda: False, get_extra_info=lambda _: None))
        for part in parts:
            protocol.data_received(part)
        for task in protocol.tasks.copy():
            await task

    async def ignore(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    config = serving.server(ignore, cast(Any, SimpleNamespace(host="", port=0))).config
    config.load()
    asyncio.run(fed())


GET = b"GET /healthz HTTP/1.1\r\n"
WIRE: dict[str, tuple[int, Callable[[int], list[bytes]]]] = {
    "headers": (HEAD, lambda n: [GET + repeated(b"a: b\r\n", n) + b"\r\n"]),
    "a long header": (HEAD, lambda n: [GET + b"a: " + b"b" * n + b"\r\n\r\n"]),
    "a long name": (HEAD, lambda n: [GET + b"a" * n + b": b\r\n\r\n"]),
    "a long path": (HEAD, lambda n: [b"GET /" + repeated(b"%41", n) + b" HTTP/1.1\r\n\r\n"]),
    "forwarded": (
        HEAD,
        lambda n: [GET + b"X-Forwarded-For: " + repeated(b"127.0.0.1, ", n) + b"\r\n\r\n"],
    ),
    "chunks": (
        BODY // 4,
        lambda n: [
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            + repeated(b"1\r\na\r\n", n)
            + b"0\r\n\r\n"
        ],
    ),
    "bytes one by one": (1 << 12, lambda n: [GET, b"a: ", *[b"b"] * n, b"\r\n\r\n"]),
}


@pytest.mark.parametrize("name", WIRE)
def test_wire(name: str) -> None:
    size, made = WIRE[name]
    parts = {each: made(each) for each in ends(size)}
    assert_linear(lambda n: on_wire(parts[n]), size)


def form(body: bytes, boundary: str = "x") -> Iterator[None]:
    """Parse a part of a form as the upload endpoint does."""
    kind = f"multipart/form-data; boundary={boundary}"
    scope = {"type": "http", "headers": [(b"content-type", kind.encode())]}
    sent = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return sent.pop()

    async def read() -> None:
        async for _ in await receiving._content(Request(scope, receive), expected=len(body)):
            pass

    asyncio.run(read())


PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
FORMS: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "file": (BODY, lambda n: PART % (b"file", b"a" * n) + b"--x--\r\n"),
    "fields": (BODY, lambda n: repeated(PART % (b"a", b"b"), n)),
    "name": (BODY, lambda n: PART % (b"a" * n, b"b")),
    "quotes": (BODY, lambda n: PART % (repeated(b'\\"', n), b"b")),
    "parameters": (BODY, lambda n: PART % (repeated(b'"; a="b', n), b"b")),
    "headers": (BODY, lambda n: b"--x\r\n" + repeated(b"a: b\r\n", n)),
    "nearly boundaries": (BODY, lambda n: PART % (b"file", repeated(b"\r\n--", n))),
    "line ends": (BODY, lambda n: PART % (b"file", b"\r" * n)),
    "preamble": (BODY, lambda n: b"\r\n" * (n // 2)),
}


@pytest.mark.parametrize("name", FORMS)
def test_multipart(name: str) -> None:
    size, made = FORMS[name]
    bodies = {each: made(each) for each in ends(size)}
    assert_linear(lambda n: form(bodies[n]), size)


def test_boundary() -> None:
    assert_linear(lambda n: form(b"a", "x" * n), HEAD)
    assert_linear(lambda n: form(b"a", "x; a=b" * (n // 6)), HEAD)


def test_content_range() -> None:
    upload = Upload(content_length=9)

    def span(n: int) -> Any:
        header = b"bytes 0-" + b"1" * n + b"/9"
        return receiving.span(
            Request({"type": "http", "headers": [(b"content-range", header)]}), upload
        )

    assert_linear(span, HEAD)


@pytest.fixture
def ask(app: FastAPI) -> Iterator[Callable[..., None]]:
    """Send a request to the whole application, without the server."""
    loop = asyncio.new_event_loop()

    def ask(
        path: str, *headers: tuple[bytes, bytes], query: bytes = b"", body: bytes | None = None
    ) -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET" if body is None else "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query,
            "headers": [(b"host", b"a.example"), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        if body is not None:
            scope["headers"] = [
                *cast(list[Any], scope["headers"]),
                (b"content-length", str(len(body)).encode()),
            ]
        sent = [{"type": "http.request", "body": body or b"", "more_body": False}]

        async def receive() -> Any:
            return sent.pop() if sent else {"type": "http.disconnect"}

        async def send(_message: Any) -> None:
            pass

        loop.run_until_complete(app(scope, receive, send))

    yield ask
    loop.close()


FORM_KIND = (b"content-type", b"application/x-www-form-urlencoded")
SAME_SITE = (b"sec-fetch-site", b"same-origin")
PAGE = (b"accept", b"text/html")


@only_sqlite
def test_requests(ask: Callable[..., None], someone: Customer) -> None:
    """Headers, query strings and forms, through all middleware of an endpoint."""
    key = (b"authorization", someone.headers["Authorization"].encode())
    splits = "/v1/audio/splits"

    def sign_in(n: int, part: bytes) -> None:
        ask("/sign-in", FORM_KIND, SAME_SITE, PAGE, body=repeated(part, n))

    walked: list[tuple[int, Parse]] = [
        (HEAD, lambda n: ask("/healthz", *[(b"a", b"b")] * (n // 6))),
        (HEAD, lambda n: ask("/healthz", (b"a", b"b" * n))),
        (HEAD, lambda n: ask("/healthz", (b"host", b"a." * (n // 2)))),
        (HEAD, lambda n: ask("/" + "a/" * (n // 2))),
        (HEAD, lambda n: ask(splits, (b"authorization", b"Bearer " + b"a" * n))),
        (HEAD, lambda n: ask(splits, *[key] * (n // 100))),
        (HEAD, lambda n: ask(splits, key, query=repeated(b"limit=1&", n))),
        (HEAD, lambda n: ask(splits, key, query=repeated(b"a;b&", n))),
        (HEAD, lambda n: ask(splits, key, query=b"cursor=" + repeated(b"%41", n))),
        (HEAD, lambda n: ask(splits, key, query=b"status=" + b"a" * n)),
        (HEAD, lambda n: ask(splits + "/x/events", key, (b"last-event-id", b"1" * n))),
        (HEAD, lambda n: ask(splits, key, (b"idempotency-key", b"a" * n), body=b"{}")),
        (HEAD, lambda n: ask(splits, key, (b"content-type", b"a;" * (n // 2)), body=b"{}")),
        (HEAD, lambda n: ask("/studio", PAGE, (b"cookie", repeated(b"a=b; ", n)))),
        (HEAD, lambda n: ask("/studio", PAGE, (b"cookie", b'a="' + repeated(b"\\\\", n) + b'"'))),
        (HEAD, lambda n: ask("/studio", PAGE, (b"cookie", b'a="' + repeated(b"\\101", n) + b'"'))),
        (HEAD, lambda n: ask("/studio", PAGE, (b"cookie", b"__Host-session=" + b"a" * n))),
        (HEAD, lambda n: ask("/studio", (b"accept", repeated(b"text/html;q=0.1,", n)))),
        (HEAD, lambda n: ask("/sign-in", PAGE, (b"accept-language", repeated(b"a-b,", n)))),
        (HEAD, lambda n: ask("/studio", PAGE, query=b"q=" + b"%25" * (n // 3))),
        (HEAD, lambda n: ask("/storage/" + "a/" * (n // 2), query=repeated(b"expires=1&", n))),
        (HEAD, lambda n: ask("/sign-in", FORM_KIND, PAGE, (b"origin", b"a:" * n), body=b"")),
        (FORM, lambda n: sign_in(n, b"a=b&")),
        (FORM, lambda n: sign_in(n, b"%41")),
        (FORM, lambda n: sign_in(n, b"email=")),
        (BODY, lambda n: ask("/payments/stripe", body=b"a" * n)),
    ]
    for number, (size, parse) in enumerate(walked):
        assert_linear(parse, size, f"number {number}")


@only_sqlite
def test_presigned(app: FastAPI, ask: Callable[..., None]) -> None:
    context = app.state.context
    storage = context.storage.at("http://a.example")
    for size, key in ((HEAD, "a" * 9), (HEAD, "a")):
        url = storage.url(key, expires_in=timedelta(hours=1), filename="a")
        query = url.partition("?")[2].encode()

        def read(n: int, query: bytes = query, key: str = key) -> None:
            ask("/storage/" + key, (b"range", b"bytes=" + b"1" * n), query=query)

        assert_linear(read, size)
