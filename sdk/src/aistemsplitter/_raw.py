"""Raw responses: the results of typed calls together with their HTTP responses."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from aistemsplitter._effects import Reply
from aistemsplitter._failures import request_id

if TYPE_CHECKING:
    from aistemsplitter._async_client import AsyncAiStemSplitter
    from aistemsplitter._client import AiStemSplitter

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawResponse(Generic[T]):
    """Result of a call together with the last API response that it received.

    Attributes:
        data: Result of the typed call.
        status: HTTP status of the response.
        headers: Headers of the response, by their lower-case names.
        request_id: Request id assigned by the service; None if the response has none.
        body: Body of the response.
    """

    data: T
    status: int
    headers: Mapping[str, str] = field(repr=False)
    request_id: str | None
    body: bytes = field(repr=False)


class RawCalls:
    """The calls of a client, with the same arguments, each returning a RawResponse."""

    def __init__(self, client: AiStemSplitter) -> None:
        kind = type(client)
        self.create_split = self.submit = _raw(client, kind.create_split)
        self.get_split = self.get = _raw(client, kind.get_split)
        self.get_beats = _raw(client, kind.get_beats)
        self.wait_for_split = self.wait = _raw(client, kind.wait_for_split)
        self.list_splits = self.list = _raw(client, kind.list_splits)
        self.download_split = self.download = _raw(client, kind.download_split)
        self.create_upload = self.presign_upload = _raw(client, kind.create_upload)
        self.list_uploads = _raw(client, kind.list_uploads)
        self.get_upload = _raw(client, kind.get_upload)
        self.delete_upload = _raw(client, kind.delete_upload)
        self.cancel_split = _raw(client, kind.cancel_split)
        self.delete_split = _raw(client, kind.delete_split)
        self.get_credits = _raw(client, kind.get_credits)
        self.get_usage = _raw(client, kind.get_usage)
        self.create_webhook_endpoint = _raw(client, kind.create_webhook_endpoint)
        self.list_webhook_endpoints = _raw(client, kind.list_webhook_endpoints)
        self.get_webhook_endpoint = _raw(client, kind.get_webhook_endpoint)
        self.update_webhook_endpoint = _raw(client, kind.update_webhook_endpoint)
        self.delete_webhook_endpoint = _raw(client, kind.delete_webhook_endpoint)
        self.rotate_webhook_secret = _raw(client, kind.rotate_webhook_secret)
        self.list_events = _raw(client, kind.list_events)
        self.get_event = _raw(client, kind.get_event)
        self.redeliver_event = _raw(client, kind.redeliver_event)
        self.list_models = self.models = _raw(client, kind.list_models)


class AsyncRawCalls:
    """The calls of a client, with the same arguments, each returning a RawResponse."""

    def __init__(self, client: AsyncAiStemSplitter) -> None:
        kind = type(client)
        self.create_split = self.submit = _async_raw(client, kind.create_split)
        self.get_split = self.get = _async_raw(client, kind.get_split)
        self.get_beats = _async_raw(client, kind.get_beats)
        self.wait_for_split = self.wait = _async_raw(client, kind.wait_for_split)
        self.list_splits = self.list = _async_raw(client, kind.list_splits)
        self.download_split = self.download = _async_raw(client, kind.download_split)
        self.create_upload = self.presign_upload = _async_raw(client, kind.create_upload)
        self.list_uploads = _async_raw(client, kind.list_uploads)
        self.get_upload = _async_raw(client, kind.get_upload)
        self.delete_upload = _async_raw(client, kind.delete_upload)
        self.cancel_split = _async_raw(client, kind.cancel_split)
        self.delete_split = _async_raw(client, kind.delete_split)
        self.get_credits = _async_raw(client, kind.get_credits)
        self.get_usage = _async_raw(client, kind.get_usage)
        self.create_webhook_endpoint = _async_raw(client, kind.create_webhook_endpoint)
        self.list_webhook_endpoints = _async_raw(client, kind.list_webhook_endpoints)
        self.get_webhook_endpoint = _async_raw(client, kind.get_webhook_endpoint)
        self.update_webhook_endpoint = _async_raw(client, kind.update_webhook_endpoint)
        self.delete_webhook_endpoint = _async_raw(client, kind.delete_webhook_endpoint)
        self.rotate_webhook_secret = _async_raw(client, kind.rotate_webhook_secret)
        self.list_events = _async_raw(client, kind.list_events)
        self.get_event = _async_raw(client, kind.get_event)
        self.redeliver_event = _async_raw(client, kind.redeliver_event)
        self.list_models = self.models = _async_raw(client, kind.list_models)


def _raw(
    client: AiStemSplitter, method: Callable[Concatenate[AiStemSplitter, P], T]
) -> Callable[P, RawResponse[T]]:
    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        replies: list[Any] = []
        return _with_reply(method(client._recording(replies.append), *args, **kwargs), replies)

    return call


def _async_raw(
    client: AsyncAiStemSplitter,
    method: Callable[Concatenate[AsyncAiStemSplitter, P], Awaitable[T]],
) -> Callable[P, Awaitable[RawResponse[T]]]:
    @functools.wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        replies: list[Any] = []
        return _with_reply(
            await method(client._recording(replies.append), *args, **kwargs), replies
        )

    return call


def _with_reply(data: T, replies: list[Reply]) -> RawResponse[T]:
    last = replies[-1]
    return RawResponse(
        data=data,
        status=last.status,
        headers=last.headers,
        request_id=request_id(last.headers),
        body=last.body,
    )
