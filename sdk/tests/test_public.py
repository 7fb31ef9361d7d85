"""The public names, and the parity of the synchronous and asynchronous clients."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import aistemsplitter
from aistemsplitter import _pages, _raw

SOURCE = Path(aistemsplitter.__file__).parent
NAMES = """
AIStemSplitter AIStemSplitterError APIError AccountSuspended AiStemSplitter AiStemSplitterError
Analysis AsyncAiStemSplitter AsyncSplitPage AsyncSplits AsyncStemSplitter BeatGrid ClientClosed
ConfigurationError Conflict ConnectionFailed Credits DeadlineExceeded DeletedSplit DirectUpload
DiskFull DownloadFailed ErrorInfo EventData FileChanged FileError Forbidden IdempotencyInProgress
IdempotencyMismatch InputError InsufficientCredits IntegrityError InvalidWebhook LimitExceeded Model
ModelUnavailable NotFound NotPicklable OutputFormat PayloadTooLarge RateLimited RawResponse
RedirectRefused Reply ServerError ServiceUnavailable Split SplitFailed SplitId SplitJob SplitOptions
PutTarget PutUrls SplitPage SplitStatus StemModelName StemOptions StemSplitter StemUrls TLSFailed
TransferFailed TransferProgress Timeouts Unauthorized UnexpectedResponse Upload UploadFailed
UploadId UploadInfo UploadPage AsyncUploadPage AsyncUploads DeletedUpload Usage UsageDay
AsyncEventPage AsyncEvents AsyncWebhookEndpointPage AsyncWebhookEndpoints EventPage
WebhookEndpointPage EventId EventType WebhookEndpointId DeletedWebhookEndpoint WebhookDelivery
WebhookEndpoint ValidationFailed WaitTimeout WebhookEvent __version__ verify_signature
"""


def test_public_names_are_locked() -> None:
    assert sorted(aistemsplitter.__all__) == sorted(NAMES.split())
    assert all(hasattr(aistemsplitter, name) for name in aistemsplitter.__all__)


def test_both_names_are_the_same_object() -> None:
    assert aistemsplitter.StemSplitter is aistemsplitter.AiStemSplitter
    assert aistemsplitter.AsyncStemSplitter is aistemsplitter.AsyncAiStemSplitter
    for client in (aistemsplitter.AiStemSplitter, aistemsplitter.AsyncAiStemSplitter):
        assert client.submit is client.create_split
        assert client.get is client.get_split
        assert client.wait is client.wait_for_split
        assert client.list is client.list_splits
        assert client.download is client.download_split
        assert client.presign_upload is client.create_upload
        assert client.models is client.list_models


def _methods(kind: type) -> dict[str, Any]:
    return {
        name: value
        for base in reversed(kind.__mro__[:-1])  # without object
        for name, value in vars(base).items()
        if not name.startswith("_") or name == "__init__"
    }


def _parameters(method: Any) -> list[tuple[str, object, object, str]]:
    return [
        (each.name, each.kind, each.default, str(each.annotation).replace("Async", ""))
        for each in inspect.signature(method).parameters.values()
    ]


@pytest.mark.parametrize(
    ("sync", "twin"),
    [
        (aistemsplitter.AiStemSplitter, aistemsplitter.AsyncAiStemSplitter),
        (_pages._SyncPage, _pages._AsyncPage),
        (_raw.RawCalls, _raw.AsyncRawCalls),
    ],
)
def test_sync_and_async_clients_have_the_same_methods(sync: type, twin: type) -> None:
    ours, theirs = _methods(sync), _methods(twin)
    if sync is not aistemsplitter.AiStemSplitter:  # users do not create the others
        del ours["__init__"], theirs["__init__"]
    assert ours.keys() == theirs.keys()
    for name, method in ours.items():
        other = theirs[name]
        if isinstance(method, property):
            method, other = method.fget, other.fget
        assert inspect.getdoc(method) == inspect.getdoc(other), name
        assert method.__doc__ or name == "__init__"
        assert _parameters(method) == _parameters(other), name
        returns = [str(inspect.signature(each).return_annotation) for each in (method, other)]
        # A list can be iterated without being awaited first, so it has a class of its own.
        for kind in ("Split", "Upload", "WebhookEndpoint", "Event"):
            returns[1] = returns[1].replace(f"Async{kind}s", f"{kind}Page")
        returns[1] = returns[1].replace("Async", "")
        assert returns[0] == returns[1], name


def test_instances_offer_the_same_raw_calls() -> None:
    sync = aistemsplitter.AiStemSplitter("k").with_raw_response
    twin = aistemsplitter.AsyncAiStemSplitter("k").with_raw_response
    assert vars(sync).keys() == vars(twin).keys()
    local = {"__init__", "close", "split", "verify_webhook", "with_options", "with_raw_response"}
    assert vars(sync).keys() == _methods(aistemsplitter.AiStemSplitter).keys() - local


def test_only_one_folder_imports_the_http_library() -> None:
    importing = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and re.search(r"httpx|httpcore", ast.unparse(node))
    }
    assert {path.partition("/")[0] for path in importing} == {"_http"}


def test_every_public_error_is_in_the_tree() -> None:
    from aistemsplitter import _errors

    drawn = re.findall(r"^[│├└─ ]*([A-Z]\w+)", _errors.__doc__ or "", re.MULTILINE)
    kinds = [
        name
        for name, value in vars(aistemsplitter).items()
        if isinstance(value, type)
        and issubclass(value, aistemsplitter.AiStemSplitterError)
        and value is not aistemsplitter.AIStemSplitterError  # of version 0.1
    ]
    assert set(kinds) <= set(drawn)
