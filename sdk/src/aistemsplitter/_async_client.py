"""The client for asyncio and trio, the twin of ``_client.py``, word for word."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, Unpack, overload

from aistemsplitter import _download, _logs, _operations, _settings, _wait, _webhooks
from aistemsplitter._core import Session
from aistemsplitter._effects import Operation, Reply, Timeouts, Transport
from aistemsplitter._errors import ClientClosed, NotPicklable
from aistemsplitter._idempotency import IdempotencyKeys
from aistemsplitter._models import (
    Credits,
    DeletedSplit,
    Model,
    Split,
    SplitJob,
    TransferProgress,
    Upload,
)
from aistemsplitter._pages import AsyncSplitPage, AsyncSplits
from aistemsplitter._raw import AsyncRawCalls
from aistemsplitter._source import Source
from aistemsplitter._types import OutputFormat, SplitId, SplitOptions, SplitStatus, StemModelName
from aistemsplitter._webhooks import HeadersLike, WebhookEvent

if TYPE_CHECKING:
    from aistemsplitter._http import AsyncHttpClient

T = TypeVar("T")


class AsyncAiStemSplitter:
    """A client of the stem splitting service.

    Safe to share between the tasks of one event loop, asyncio's or trio's. Close it, or use it in
    an ``async with`` statement, to close its connections.

    Args:
        api_key: ``ast_live_...`` or ``ast_test_...``; read from ``AISTEMSPLITTER_API_KEY`` if
            omitted.
        base_url: base URL of the API; read from ``AISTEMSPLITTER_BASE_URL`` if omitted, else that
            of the hosted service. One without a path gets ``/v1``.
        webhook_secret: ``whsec_...``, or several during a rotation; read from
            ``AISTEMSPLITTER_WEBHOOK_SECRET`` if omitted. Only ``verify_webhook`` needs it.
        timeout: seconds for a whole call with its retries and transfers, or ``Timeouts`` for the
            phases too. By default a call of the API may take 60 s, and an upload or a download as
            long as it makes progress.
        max_retries: tries after the first, where a retry may help.
        default_headers: headers of every call of the API, such as those a gateway asks for. They
            are not sent to the storage.
        proxy: URL of an HTTP proxy; read from ``HTTPS_PROXY`` and its like if omitted.
        verify: path to certificates to trust, or an ``ssl.SSLContext``; False trusts anyone.
        http_client: your own ``httpx2.AsyncClient``, whose proxies, certificates and limits
            are used. It stays open when this client is closed.
        transport: answers in place of the network, such as ``aistemsplitter.testing.FakeService``.

    Raises:
        ConfigurationError: there is no key, or one of the settings cannot be used.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        webhook_secret: str | Sequence[str] | None = None,
        timeout: float | Timeouts | None = None,
        max_retries: int = 4,
        default_headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        http_client: AsyncHttpClient | None = None,
        transport: Transport | None = None,
    ) -> None:
        # Imported late: a program that only verifies webhooks never needs the HTTP library.
        from aistemsplitter._http import AsyncDriver, Network

        _logs.set_up()
        self._session = Session(
            base_url=_settings.base_url(base_url),
            key=_settings.api_key(api_key),
            headers=_settings.headers(default_headers, "default_headers="),
            timeouts=_settings.timeouts(timeout),
            max_retries=_settings.max_retries(max_retries),
        )
        self._webhook_secrets = _settings.webhook_secrets(webhook_secret)
        self._driver = AsyncDriver(
            Network(mock=transport, http_client=http_client, proxy=proxy, verify=verify)
        )
        self._root: Self | None = None  # the client that owns the connections, if another does
        self._closed = False

    @overload
    async def create_split(
        self, input: Source | Mapping[str, str], **options: Unpack[SplitOptions]
    ) -> SplitJob: ...
    @overload
    async def create_split(
        self, *, audio_url: str, **options: Unpack[SplitOptions]
    ) -> SplitJob: ...
    async def create_split(
        self,
        input: Source | Mapping[str, str] | None = None,
        *,
        audio_url: str | None = None,
        stem_model: StemModelName | None = None,
        model: StemModelName | None = None,
        output_format: OutputFormat | None = None,
        stems: Sequence[str] | None = None,
        webhook_url: str | None = None,
        metadata: Mapping[str, str] | None = None,
        filename: str | None = None,
        idempotency_key: str | None = None,
        on_progress: Callable[[TransferProgress], object] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> SplitJob:
        """Submit audio to be split. Returns at once, with the id and the status ``queued``.

        A billed call. It sends an ``Idempotency-Key`` that stays the same over all retries, so a
        retry never creates or charges a second split.

        Args:
            input: ``{"type": "direct_url", "url": ...}``, ``{"type": "uploaded_file", "uploadId":
                ...}``, a URL, or audio to upload first: a local path, bytes, a file opened in
                binary mode, or an iterable of bytes.
            audio_url: URL of the audio; short for an input of the type ``direct_url``.
            stem_model: ``htdemucs_ft`` (the server's default), ``htdemucs``, ``htdemucs_6s`` or
                another of ``list_models()``. For one that this version of the package does not
                know, satisfy type checkers with ``typing.cast(StemModelName, name)``.
            model: short form of ``stem_model``.
            output_format: ``wav`` (the server's default), ``mp3``, ``flac``, ``opus`` or ``m4a``.
            stems: names of the stems to make, such as ``["vocals", "instrumental"]``; all of the
                model's if omitted.
            webhook_url: URL that receives an event when the split is done.
            metadata: strings that are returned unchanged with the split and its event.
            filename: name for uploaded audio that has none, such as bytes.
            idempotency_key: key of your own, up to 255 ASCII characters. A second call with the
                same key and audio, also from another process, returns the same split and uploads
                nothing.
            on_progress: called with the progress of the upload.
            extra_headers: additional headers of the call.
            extra_body: additional fields of the request's JSON, by the API's names.

        Raises:
            InsufficientCredits: the balance is too low; has the seconds needed.
            ModelUnavailable: the server does not have the model's weights.
            ValidationFailed: a field is wrong; the message names it.
            FileError: the file cannot be read. FileChanged: it changed during the upload.
            UploadFailed: the storage refused the upload.
        """
        submission = _operations.Submission(
            input=input,
            audio_url=audio_url,
            stem_model=stem_model,
            model=model,
            output_format=output_format,
            stems=stems,
            webhook_url=webhook_url,
            metadata=metadata,
            filename=filename,
            idempotency_key=idempotency_key,
            on_progress=on_progress,
            extra_body=extra_body,
        )
        return await self._run(_operations.create_split(self._calls(extra_headers), submission))

    async def get_split(
        self, split_id: SplitId, *, extra_headers: Mapping[str, str] | None = None
    ) -> Split:
        """Read a split's current state, with fresh URLs of its stems.

        Args:
            split_id: id of the split, or an object that has it.
            extra_headers: additional headers of the call.

        Raises:
            NotFound: there is no such split in this account.
        """
        return await self._run(_operations.get_split(self._calls(extra_headers), split_id))

    async def wait_for_split(
        self,
        split_id: SplitId,
        *,
        timeout: float | None = 1800.0,
        on_progress: Callable[[Split], object] | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Split:
        """Wait until a split has succeeded.

        Follows the server's progress stream where it has one, and polls when the stream is silent
        or missing, backing off from 1 s to 10 s. Connection errors and server errors do not end
        the wait.

        Args:
            split_id: id of the split, or an object that has it.
            timeout: seconds for the whole wait; None waits without limit.
            on_progress: called with the split whenever it has changed.
            extra_headers: additional headers of the calls.

        Raises:
            SplitFailed: it failed; has its code.
            WaitTimeout: the time is up. The job continues: wait again to pick it up.
        """
        session = self._calls(extra_headers)
        return await self._run(
            _wait.wait_for_split(session, split_id, timeout=timeout, on_progress=on_progress)
        )

    def list_splits(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        status: SplitStatus | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> AsyncSplits:
        """Read the account's splits, newest first, a page at a time; iterates across pages.

        Args:
            limit: splits per page, 1 to 100; the server's default is 20.
            cursor: ``next_cursor`` of the page before.
            status: only splits in this status.
            extra_headers: additional headers of the calls.
        """
        session = self._calls(extra_headers)

        async def read(cursor: str | None) -> AsyncSplitPage:
            operation = _operations.list_splits(session, limit, cursor, status)
            return AsyncSplitPage(await self._run(operation), read)

        return AsyncSplits(lambda: read(cursor))

    async def download_split(
        self,
        split: SplitId,
        directory: str | os.PathLike[str],
        *,
        stems: Sequence[str] | None = None,
        overwrite: bool = False,
        parallel: int = 4,
        timeout: float | None = None,
        on_progress: Callable[[TransferProgress], object] | None = None,
    ) -> dict[str, Path]:
        """Download the stems into a folder and return the path of each.

        A stem appears under its name (``vocals.wav``) only when it is complete: its length and,
        where the storage announces one, its checksum are verified. A dropped download is resumed,
        also by a later call with the same folder; an expired URL is renewed. An existing file is
        kept if length and checksum prove that it is this stem.

        Args:
            split: a split that has succeeded, or its id.
            directory: folder for the files; created if missing.
            stems: names of the stems to download; all if omitted.
            overwrite: replace other files of the same names instead of raising FileError.
            parallel: number of downloads at once.
            timeout: seconds for all of them together; by default the client's, if it has one.
            on_progress: called with the progress of each, by one thread at a time.

        Raises:
            InputError: the split is not done, or has no such stem. SplitFailed: it failed.
            DownloadFailed: a stem could not be fetched. IntegrityError: it arrived damaged.
            FileError: a file cannot be written, or another file has its name. DiskFull: no space
                is left. DeadlineExceeded: the time is up; the next call resumes the download.
        """
        return await self._run(
            _download.download_split(
                self._session,
                split,
                directory,
                stems=stems,
                overwrite=overwrite,
                parallel=parallel,
                timeout=timeout,
                on_progress=on_progress,
            )
        )

    async def create_upload(
        self,
        filename: str | os.PathLike[str],
        *,
        content_length: int | None = None,
        content_type: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Upload:
        """Reserve an upload straight to the storage, to be sent by other means.

        ``create_split`` does all this by itself for a path or a file.

        Args:
            filename: name of the file; the path of a local file if no length is given.
            content_length: length in bytes, which the upload must have; read from the file if
                omitted.
            content_type: media type; derived from the name if omitted.
            extra_headers: additional headers of the call.
            extra_body: additional fields of the request's JSON, by the API's names.

        Raises:
            PayloadTooLarge: longer than the server's limit.
            FileError: no length was given, and there is no such file.
        """
        return await self._run(
            _operations.presign_upload(
                self._calls(extra_headers), filename, content_length, content_type, extra_body
            )
        )

    def verify_webhook(
        self,
        headers: HeadersLike,
        raw_body: bytes | str,
        *,
        tolerance: float = _webhooks.TOLERANCE,
    ) -> WebhookEvent:
        """Verify a webhook delivery and return its event. Needs no network.

        Args:
            headers: headers of the request, in the form any framework has them.
            raw_body: the bytes as they were received, before any parsing.
            tolerance: seconds that the signature's time may differ from now, either way.

        Raises:
            InvalidWebhook: headers or body are not those of a genuine, recent delivery.
            ConfigurationError: the client has no webhook secret.
        """
        return _webhooks.verify(headers, raw_body, self._webhook_secrets, tolerance)

    async def cancel_split(
        self, split_id: SplitId, *, extra_headers: Mapping[str, str] | None = None
    ) -> Split:
        """Cancel a split. It ends as failed with the code CANCELED and its charge is refunded.

        Args:
            split_id: id of the split, or an object that has it.
            extra_headers: additional headers of the call.

        Raises:
            Conflict: the split is already done.
        """
        return await self._run(_operations.cancel_split(self._calls(extra_headers), split_id))

    async def delete_split(
        self, split_id: SplitId, *, extra_headers: Mapping[str, str] | None = None
    ) -> DeletedSplit:
        """Delete a split's audio.

        Args:
            split_id: id of the split, or an object that has it.
            extra_headers: additional headers of the call.
        """
        return await self._run(_operations.delete_split(self._calls(extra_headers), split_id))

    async def get_credits(self, *, extra_headers: Mapping[str, str] | None = None) -> Credits:
        """Read the account's balance, in seconds of audio."""
        return await self._run(_operations.get_credits(self._calls(extra_headers)))

    async def list_models(
        self, *, extra_headers: Mapping[str, str] | None = None
    ) -> tuple[Model, ...]:
        """Read which models this server runs, and their stems."""
        return await self._run(_operations.list_models(self._calls(extra_headers)))

    def with_options(
        self,
        *,
        api_key: str | None = None,
        timeout: float | Timeouts | None = None,
        max_retries: int | None = None,
        idempotency_key: str | None = None,
    ) -> Self:
        """Return a client with other settings that shares this one's connections.

        Closing it leaves this client open.

        Args:
            api_key: key of another account.
            timeout: seconds for a whole call, or Timeouts.
            max_retries: tries after the first.
            idempotency_key: key of the first split submitted by the result. Further, different
                submissions get the key with ``-2``, ``-3`` and so on, in their order.
        """
        session = self._session
        if api_key is not None:
            session = replace(session, key=_settings.api_key(api_key))
        if timeout is not None:
            session = replace(session, timeouts=_settings.timeouts(timeout, session.timeouts))
        if max_retries is not None:
            session = replace(session, max_retries=_settings.max_retries(max_retries))
        if idempotency_key is not None:
            session = replace(session, idempotency_keys=IdempotencyKeys(idempotency_key))
        return self._with(session)

    @property
    def with_raw_response(self) -> AsyncRawCalls:
        """The same calls, each returning its result with the status, headers and request id."""
        return AsyncRawCalls(self)

    async def close(self) -> None:
        """Close all connections. The client cannot be used afterwards."""
        self._closed = True
        if self._root is None:
            await self._driver.close()

    async def _run(self, operation: Operation[T]) -> T:
        if self._closed or (self._root and self._root._closed):
            operation.close()
            raise ClientClosed("the client is closed: create another, or call it before close()")
        return await self._driver.run(operation)

    def _calls(self, extra_headers: Mapping[str, str] | None) -> Session:
        """Return the settings of one call."""
        if not extra_headers:
            return self._session
        headers = _settings.headers(extra_headers, "extra_headers=")
        return self._session.with_headers(headers)

    def _with(self, session: Session) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)  # a subclass may have attributes of its own
        twin._session, twin._root = session, self._root or self
        return twin

    def _noting(self, on_reply: Callable[[Reply], None]) -> Self:
        """Return the same client, which passes on the replies it gets."""
        return self._with(replace(self._session, on_reply=on_reply))

    def __reduce__(self) -> NoReturn:
        raise NotPicklable(
            f"{type(self).__name__}: clients hold a secret and open connections and cannot be"
            " pickled. Create one in each process"
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._session.base_url!r})"

    submit = create_split
    get = get_split
    wait = wait_for_split
    list = list_splits
    download = download_split
    presign_upload = create_upload
    models = list_models


AsyncStemSplitter = AsyncAiStemSplitter
