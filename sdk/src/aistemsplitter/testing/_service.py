"""In-memory service that behaves like the real one and fails on demand."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from aistemsplitter._effects import Reply, Request
from aistemsplitter._failures import BY_STATUS
from aistemsplitter.testing._analysis import ANALYSIS, beats_of
from aistemsplitter.testing._events import SECRET, Delivery, delivery, event_of
from aistemsplitter.testing._filters import matches
from aistemsplitter.testing._storage import FakeStorage, silence
from aistemsplitter.testing._uploads import FakeUploads
from aistemsplitter.testing._usage import usage
from aistemsplitter.testing._webhook_endpoints import FakeWebhooks
from aistemsplitter.testing._wire import (
    Rejected,
    body_of,
    failure,
    first,
    page,
    split_json,
    success,
    timestamp,
)

STEMS = {
    "htdemucs": ("drums", "bass", "other", "vocals"),
    "htdemucs_ft": ("drums", "bass", "other", "vocals"),
    "htdemucs_6s": ("drums", "bass", "other", "vocals", "guitar", "piano"),
}
ALIASES = {"4s": "htdemucs_ft", "6s": "htdemucs_6s"}
PSEUDO = ("instrumental",)


@dataclass(slots=True)
class _Split:
    """A split of the fake service and the states that it has yet to pass through."""

    json: dict[str, Any]
    ahead: list[tuple[str, float]]
    stems: tuple[str, ...]
    ending: tuple[str, str] | None
    upload_id: str | None


@dataclass(slots=True)
class _Fault:
    """A reply, or a reset without one, for the next requests whose path has a prefix."""

    reply: Reply | None
    times: int
    path: str = field(default="")


class FakeService:
    """Fake service for tests: pass it to either client as ``transport=``.

    Each time a split is read, it advances by one state: queued, processing, succeeded. Credits,
    idempotency keys, uploads, presigned URLs, paging and errors behave like those of the real
    service. No audio is separated; every stem is the same short silence. Thread-safe.

    Args:
        api_key: The only accepted API key; None accepts any.
        balance: Balance of the account, in seconds.
        duration: Length of every song, in seconds.
        states: ``(status, progress)`` pairs that a split passes through before it is done.
        stem_audio: Content of every stem; a short silent WAV file if omitted.
        streams: True to offer the progress stream, which ends a wait at once. Without it, clients
            poll, at first after one second.
        url: Base of the presigned URLs, for tests that serve the fake service over HTTP.

    Attributes:
        requests: All requests in order, including failed ones, with their ``Authorization`` header.
        balance: Balance of the account, in seconds.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        balance: int = 36_000,
        duration: int = 180,
        states: Sequence[tuple[str, float]] = (("queued", 0.0), ("processing", 0.5)),
        stem_audio: bytes | None = None,
        streams: bool = True,
        url: str = "https://storage.test",
    ) -> None:
        self.requests: list[Request] = []
        self.balance = balance
        self._api_key = api_key
        self._duration = duration
        self._states = list(states)
        self._stem_audio = silence() if stem_audio is None else stem_audio
        self._streams = streams
        self._storage = FakeStorage(url)
        self._uploads = FakeUploads(self._storage, duration)
        self._webhooks = FakeWebhooks()
        self._lock = threading.RLock()
        self._splits: dict[str, _Split] = {}
        self._answers: dict[str, tuple[bytes, Reply]] = {}
        self._faults: list[_Fault] = []
        self._endings: list[tuple[str, str]] = []

    def fail_next(
        self,
        status: int = 503,
        code: str | None = None,
        message: str = "requested by the test",
        *,
        times: int = 1,
        path: str = "",
        retry_after: float | str | None = None,
        **details: Any,
    ) -> None:
        """Answer the next requests with an error.

        Args:
            status: HTTP status of the responses.
            code: Error code; the usual one for the status if omitted.
            message: Error message.
            times: Number of requests to answer with the error.
            path: Prefix of the affected paths, such as ``/storage/``; all paths if omitted.
            retry_after: Value of the ``Retry-After`` header, in seconds or as a date.
            details: Additional keys of the ``error`` object, such as ``requiredSeconds=180``.
        """
        kind = BY_STATUS.get(status)
        code = code or (kind.default_code if kind else f"HTTP_{status}")
        headers = {} if retry_after is None else {"retry_after": str(retry_after)}
        self.answer_next(failure(status, code, message, details, **headers), times=times, path=path)

    def answer_next(self, reply: Reply, *, times: int = 1, path: str = "") -> None:
        """Answer the next requests with this reply.

        Args:
            reply: Response to send.
            times: Number of requests to answer with it.
            path: Prefix of the affected paths; all paths if omitted.
        """
        self._faults.append(_Fault(reply, times, path))

    def drop_next(self, *, times: int = 1, path: str = "") -> None:
        """Reset the connections of the next requests, before they are processed.

        Args:
            times: Number of requests to reset.
            path: Prefix of the affected paths; all paths if omitted.
        """
        self._faults.append(_Fault(None, times, path))

    def fail_split(
        self, code: str = "UNSUPPORTED_MEDIA", message: str = "the file is not audio"
    ) -> None:
        """Let the next submitted split fail and refund its charge."""
        self._endings.append((code, message))

    def expire_urls(self) -> None:
        """Expire all presigned URLs issued so far."""
        self._storage.expire()

    def finish(self, split_id: str) -> None:
        """Finish a split at once."""
        with self._lock:
            while self._splits[split_id].ahead:
                self._advance(self._splits[split_id])
            self._advance(self._splits[split_id])

    def uploaded(self, upload_id: str) -> bytes | None:
        """Return the bytes of an upload; None before they have arrived."""
        return self._storage.get(upload_id)

    def webhook(self, split_id: str, secret: str | Sequence[str] = SECRET) -> Delivery:
        """Return the webhook delivery for a split that is done.

        Raises:
            ValueError: The split is not done.
        """
        with self._lock:
            fields = self._json_of(self._splits[split_id])
        if fields["status"] not in ("succeeded", "failed"):
            raise ValueError(f"{split_id} is {fields['status']}: finish it first")
        return delivery(event_of(fields), secret=secret)

    def __call__(self, request: Request) -> Reply:
        """Answer a request: the fake service is a client's transport."""
        with self._lock:
            self.requests.append(request)
            reply = self._fault(request) or self._answer(request)
        identified = {"request-id": f"req_{uuid.uuid4().hex}", **reply.headers}
        return replace(reply, headers=identified)

    def _fault(self, request: Request) -> Reply | None:
        path = urlsplit(request.url).path
        for fault in self._faults:
            if path.startswith(fault.path):
                fault.times -= 1
                if fault.times < 1:
                    self._faults.remove(fault)
                if fault.reply is None:
                    raise ConnectionResetError("reset by the test")
                return fault.reply
        return None

    def _answer(self, request: Request) -> Reply:
        parts = urlsplit(request.url)
        try:
            if parts.path.startswith("/storage/"):
                return self._storage.answer(request)
            self._authorize(request)
            return self._route(request, unquote(parts.path.removeprefix("/v1")), parts.query)
        except Rejected as rejected:
            return rejected.reply

    def _authorize(self, request: Request) -> None:
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or not key or self._api_key not in (None, key):
            raise Rejected(401, "UNAUTHORIZED", "the API key is missing or unknown")

    def _route(self, request: Request, path: str, query: str) -> Reply:
        match request.method, path.strip("/").split("/"):
            case "GET", ["credits"]:
                return success({"balance": self.balance, "unit": "seconds"})
            case "GET", ["usage"]:
                return success(usage((split.json for split in self._splits.values()), first(query)))
            case "GET", ["models"]:
                return success([_model(name) for name in STEMS])
            case "POST", ["audio", "uploads"]:
                key = request.headers.get("idempotency-key")
                return self._uploads.reserve(body_of(request), key)
            case "GET", ["audio", "uploads"]:
                return success(page([*self._uploads.newest_first()], first(query)))
            case "GET", ["audio", "uploads", upload_id]:
                return success(self._uploads.json_of(upload_id))
            case "DELETE", ["audio", "uploads", upload_id]:
                return self._delete_upload(upload_id)
            case "POST", ["audio", "splits"]:
                return self._once(request, lambda: self._create(body_of(request)))
            case "GET", ["audio", "splits"]:
                return self._list(first(query))
            case "GET", ["audio", "splits", split_id]:
                split = self._find(split_id)
                fields = self._json_of(split)
                self._advance(split)
                return success(fields)
            case "DELETE", ["audio", "splits", split_id]:
                self._find(split_id)
                del self._splits[split_id]
                self._storage.delete(f"{split_id}/")
                return success({"id": split_id, "deleted": True})
            case "GET", ["audio", "splits", split_id, "beats"]:
                return success(beats_of(self._find(split_id).json))
            case "POST", ["audio", "splits", split_id, "cancel"]:
                return self._cancel(self._find(split_id))
            case "GET", ["audio", "splits", split_id, "events"] if self._streams:
                return self._stream(self._find(split_id))
            case method, ["webhooks" | "events", *_] as parts:
                body = body_of(request) if request.body else {}
                return success(
                    self._webhooks.answer(method, parts, first(query), body, self._ended())
                )
        raise Rejected(404, "NOT_FOUND", "there is no such path")

    def _ended(self) -> list[dict[str, Any]]:
        known = [self._json_of(split) for split in self._splits.values()]
        return [split for split in known if split["status"] in ("succeeded", "failed")]

    def _once(self, request: Request, process: Callable[[], Reply]) -> Reply:
        """Process a request once per idempotency key, and replay the reply after that."""
        key = request.headers.get("idempotency-key")
        body = request.body if isinstance(request.body, bytes) else b""
        if key in self._answers:
            before, reply = self._answers[key]
            if before != body:
                raise Rejected(422, "IDEMPOTENCY_MISMATCH", "the key was used with another body")
            return replace(reply, headers={**reply.headers, "idempotency-replayed": "true"})
        reply = process()
        if key:
            self._answers[key] = body, reply
        return reply

    def _create(self, body: Mapping[str, Any]) -> Reply:
        name = str(body.get("stemModel", "htdemucs_ft"))
        model = ALIASES.get(name, name)
        if model not in STEMS:
            raise Rejected(422, "VALIDATION_ERROR", f"stemModel: there is no model {name}")
        stems = tuple(body.get("stems") or STEMS[model])
        if unknown := set(stems) - {*STEMS[model], *PSEUDO}:
            names = ", ".join(sorted(unknown))
            raise Rejected(422, "VALIDATION_ERROR", f"stems: the model has no {names}")
        filename, upload_id = self._source(body.get("input"))
        if self.balance < self._duration:
            raise Rejected(
                402,
                "INSUFFICIENT_CREDITS",
                "the balance does not cover this split",
                requiredSeconds=self._duration,
                balanceSeconds=self.balance,
            )
        self.balance -= self._duration
        fields = split_json(
            f"split_{uuid.uuid4().hex}",
            "queued",
            stemModel=name,
            servedBy=model,
            filename=filename,
            durationSeconds=self._duration,
            creditsUsed=self._duration,
            outputFormat=str(body.get("outputFormat", "wav")),
            options=body.get("options"),
            metadata=dict(body.get("metadata") or {}),
        )
        ending = self._endings.pop(0) if self._endings else None
        split = _Split(fields, list(self._states), stems, ending, upload_id)
        self._splits[fields["id"]] = split
        if split.ahead:
            split.json["status"], split.json["progress"] = split.ahead.pop(0)
        job = {name: fields[name] for name in ("id", "creditsUsed", "createdAt")}
        return success({"id": job.pop("id"), "status": "queued", **job})

    def _source(self, source: Any) -> tuple[str, str | None]:
        """Return the name of the song, and the id of its upload if it has one."""
        fields = source if isinstance(source, dict) else {}
        if fields.get("type") == "direct_url" and fields.get("url"):
            name = urlsplit(str(fields["url"])).path.rpartition("/")[2] or "audio"
            if name not in self._uploads:
                return name, None
            fields = {"type": "uploaded_file", "uploadId": name}  # the URL is an audioUrl
        if fields.get("type") != "uploaded_file":
            raise Rejected(422, "VALIDATION_ERROR", "input: neither a URL nor an upload")
        upload_id = str(fields.get("uploadId"))
        return self._uploads.filename_of(upload_id), upload_id

    def _delete_upload(self, upload_id: str) -> Reply:
        self._uploads.json_of(upload_id)
        used = [split for split in self._splits.values() if split.upload_id == upload_id]
        if any(split.json["status"] in ("queued", "processing") for split in used):
            raise Rejected(409, "CONFLICT", "a split that has not ended needs this upload")
        self._uploads.delete(upload_id)
        return success({"uploadId": upload_id, "deleted": True})

    def _list(self, query: Mapping[str, str]) -> Reply:
        newest = [self._json_of(split) for split in reversed(self._splits.values())]
        return success(page([split for split in newest if matches(split, query, ALIASES)], query))

    def _cancel(self, split: _Split) -> Reply:
        if split.json["status"] in ("succeeded", "failed"):
            raise Rejected(409, "CONFLICT", f"the split is already {split.json['status']}")
        split.ending, split.ahead = ("CANCELED", "cancelled"), []
        self._advance(split)
        return success(self._json_of(split))

    def _stream(self, split: _Split) -> Reply:
        lines: list[str] = []
        while True:
            fields = self._json_of(split)
            lines.append(f"id: {len(lines) + 1}\ndata: {json.dumps(fields)}\n\n")
            if fields["status"] in ("succeeded", "failed"):
                break
            self._advance(split)
        return Reply(200, {"content-type": "text/event-stream"}, "".join(lines).encode())

    def _find(self, split_id: str) -> _Split:
        if split_id not in self._splits:
            raise Rejected(404, "NOT_FOUND", "there is no such split")
        return self._splits[split_id]

    def _advance(self, split: _Split) -> None:
        fields = split.json
        if fields["status"] in ("succeeded", "failed"):
            return
        fields["updatedAt"] = timestamp()
        if split.ahead:
            fields["status"], fields["progress"] = split.ahead.pop(0)
        elif split.ending:
            code, message = split.ending
            self.balance += fields["creditsUsed"]
            fields.update(status="failed", error={"code": code, "message": message}, creditsUsed=0)
        else:
            fields.update(status="succeeded", progress=1.0, analysis=ANALYSIS)
            for stem in split.stems:
                self._storage.put(f"{fields['id']}/{stem}", self._stem_audio)

    def _json_of(self, split: _Split) -> dict[str, Any]:
        fields = dict(split.json)
        if fields["status"] == "succeeded":
            fields["stems"] = {
                stem: self._storage.presign(f"{fields['id']}/{stem}") for stem in split.stems
            }
        return fields


def _model(name: str) -> dict[str, Any]:
    aliases = [alias for alias, meant in ALIASES.items() if meant == name]
    return {"id": name, "stems": [*STEMS[name]], "aliases": aliases, "installed": True}
