"""The synchronous client; ``_async_client.py`` has the same methods, word for word."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from aistemsplitter import _download, _operations, _wait
from aistemsplitter._account_calls import AccountCalls
from aistemsplitter._effects import Timeouts, Transport
from aistemsplitter._models import BeatGrid, DeletedSplit, Split, SplitJob, TransferProgress
from aistemsplitter._pages import SplitPage
from aistemsplitter._raw import RawCalls
from aistemsplitter._source import Source
from aistemsplitter._types import (
    OutputFormat,
    PutUrls,
    SplitId,
    SplitOptions,
    SplitStatus,
    StemModelName,
    StemOptions,
)
from aistemsplitter._webhook_calls import WebhookCalls

if TYPE_CHECKING:
    from aistemsplitter._http import HttpClient


class AiStemSplitter(AccountCalls, WebhookCalls):
    """Client of the AI Stem Splitter API.

    Safe to share between threads. Use it in a ``with`` statement, or close it.

    Args:
        api_key: API key (``ast_live_...`` or ``ast_test_...``); read from
            ``AISTEMSPLITTER_API_KEY`` if omitted.
        base_url: Base URL of the API; read from ``AISTEMSPLITTER_BASE_URL`` if omitted, and that
            of the hosted service if neither is set. ``/v1`` is appended to a URL without a path.
        webhook_secret: Webhook signing secret (``whsec_...``), or several during a rotation; read
            from ``AISTEMSPLITTER_WEBHOOK_SECRET`` if omitted. Only ``verify_webhook`` needs it.
        timeout: Time limit of a whole call in seconds, including retries and transfers, or
            ``Timeouts`` to limit its phases too. By default an API call may take 60 s, and an
            upload or download may take as long as it makes progress.
        max_retries: Number of retries after the first attempt, for errors that a retry may fix.
        default_headers: Headers of every API call, such as a gateway's; not sent to the storage.
        proxy: URL of an HTTP or SOCKS proxy; read from ``HTTPS_PROXY``, ``HTTP_PROXY`` and
            ``ALL_PROXY`` if omitted.
        verify: Path or ``ssl.SSLContext`` of trusted certificates; False (insecure) trusts any.
        http_client: ``httpx2.Client`` of your own, whose proxies, certificates and limits
            are used. It stays open when this client is closed.
        transport: Function that answers requests in place of the network, such as
            ``aistemsplitter.testing.FakeService``.

    Raises:
        ConfigurationError: The API key is missing, or a setting is invalid.
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
        http_client: HttpClient | None = None,
        transport: Transport | None = None,
    ) -> None:
        # Imported here, because a program that only verifies webhooks needs no HTTP library.
        from aistemsplitter._http import Network, SyncDriver

        super().__init__(
            api_key,
            base_url=base_url,
            webhook_secret=webhook_secret,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
        )
        self._driver = SyncDriver(
            Network(mock=transport, http_client=http_client, proxy=proxy, verify=verify)
        )

    @overload
    def create_split(
        self, input: Source | Mapping[str, str], **options: Unpack[SplitOptions]
    ) -> SplitJob: ...
    @overload
    def create_split(self, *, audio_url: str, **options: Unpack[SplitOptions]) -> SplitJob: ...
    def create_split(
        self,
        input: Source | Mapping[str, str] | None = None,
        *,
        audio_url: str | None = None,
        stem_model: StemModelName | None = None,
        model: StemModelName | None = None,
        output_format: OutputFormat | None = None,
        stems: Sequence[str] | None = None,
        webhook_url: str | None = None,
        output: PutUrls | None = None,
        options: StemOptions | None = None,
        metadata: Mapping[str, str] | None = None,
        filename: str | None = None,
        idempotency_key: str | None = None,
        on_progress: Callable[[TransferProgress], object] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> SplitJob:
        """Submit audio to be split and return the job, with its id and the status ``queued``.

        This call is billed. It sends an ``Idempotency-Key`` that stays the same over all retries,
        so a retry never creates or charges a second split.

        Args:
            input: ``{"type": "direct_url", "url": ...}``, ``{"type": "uploaded_file", "uploadId":
                ...}``, a URL, or audio to upload first: a local path, bytes, a file opened in
                binary mode, or an iterable of bytes.
            audio_url: URL of the audio; short for an input of the type ``direct_url``.
            stem_model: Name of the model: ``htdemucs_ft`` (the server's default), ``htdemucs``,
                ``htdemucs_6s`` or another of ``list_models()``. Type checkers accept a name that
                this version does not list as ``typing.cast(StemModelName, name)``.
            model: Short form of ``stem_model``.
            output_format: File format of the stems: ``wav`` (the server's default), ``mp3``,
                ``flac``, ``opus``, ``m4a``, ``aiff`` or ``alac`` (in M4A).
            stems: Names of the stems to create, such as ``["vocals", "instrumental"]``; all of the
                model's stems if omitted.
            webhook_url: URL that receives an event when the split is done.
            output: Storage of your own that stems are also sent to when the split is done:
                ``{"type": "put_urls", "stems": {"vocals": {"url": ...}}}`` with presigned URLs that
                take a PUT.
            options: How the stems are computed and encoded, such as ``{"bit_depth": 24}``.
            metadata: Strings that are returned unchanged with the split and its event.
            filename: File name for uploaded audio that has none, such as bytes.
            idempotency_key: Key of your own, up to 255 ASCII characters. A repeated call with the
                same audio, even in another process, returns the same split and uploads nothing.
            on_progress: Callback that receives the progress of the upload.
            extra_headers: Additional headers of the call.
            extra_body: Additional fields of the request's JSON, by their API names.

        Raises:
            InsufficientCredits: The balance is too low; ``required_seconds`` is what is needed.
            ModelUnavailable: The model's weights are not installed on the server.
            ValidationFailed: A field is invalid; the message names it.
            FileError: The file cannot be read. FileChanged: It changed during the upload.
            UploadFailed: The storage did not accept the upload.
        """
        submission = _operations.Submission(
            input=input,
            audio_url=audio_url,
            stem_model=stem_model,
            model=model,
            output_format=output_format,
            stems=stems,
            webhook_url=webhook_url,
            output=output,
            options=options,
            metadata=metadata,
            filename=filename,
            idempotency_key=idempotency_key,
            on_progress=on_progress,
            extra_body=extra_body,
        )
        return self._run(_operations.create_split(self._session_with(extra_headers), submission))

    def get_split(
        self, split_id: SplitId, *, extra_headers: Mapping[str, str] | None = None
    ) -> Split:
        """Return the current state of a split, with fresh URLs of its stems.

        Args:
            split_id: Id of the split, or the object returned by ``create_split``.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such split.
        """
        return self._run(_operations.get_split(self._session_with(extra_headers), split_id))

    def get_beats(
        self, split_id: SplitId, *, extra_headers: Mapping[str, str] | None = None
    ) -> BeatGrid:
        """Return all beats of a split's song; ``Split.analysis`` has its tempo and key.

        Args:
            split_id: Id of the split, or the object returned by ``create_split``.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such split.
            Conflict: The beats of its song are not known.
        """
        return self._run(_operations.get_beats(self._session_with(extra_headers), split_id))

    def wait_for_split(
        self,
        split_id: SplitId,
        *,
        timeout: float | None = 1800.0,
        on_progress: Callable[[Split], object] | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Split:
        """Wait until a split has succeeded and return it.

        Follows the server's progress stream, or polls if that is silent or missing, backing off
        from 1 s to 10 s. Connection errors and server errors do not end the wait.

        Args:
            split_id: Id of the split, or the object returned by ``create_split``.
            timeout: Time limit of the wait in seconds; None waits without limit.
            on_progress: Callback that receives the split whenever it has changed.
            extra_headers: Additional headers of the calls.

        Raises:
            SplitFailed: The split failed; ``code`` is the reason.
            WaitTimeout: The time limit was reached. The split continues; wait again to get it.
        """
        session = self._session_with(extra_headers)
        return self._run(
            _wait.wait_for_split(session, split_id, timeout=timeout, on_progress=on_progress)
        )

    def list_splits(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        status: SplitStatus | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        model: StemModelName | None = None,
        metadata: Mapping[str, str] | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> SplitPage:
        """Return a page of the account's splits, newest first. Iterating it continues across pages.

        Args:
            limit: Number of splits per page, 1 to 100; the server's default is 20.
            cursor: ``next_cursor`` of the previous page; omit it for the first page.
            status: Status of the splits to list; splits of every status if omitted.
            created_after: Earliest time of submission, with its time zone.
            created_before: First time of submission that is too late, with its time zone.
            model: Name of the requested model; its aliases are included.
            metadata: Values that the metadata must have, by their keys. With these or a model, a
                page may have fewer splits than ``limit``, even none, although more pages follow.
            extra_headers: Additional headers of the calls.

        Raises:
            InputError: A time has no time zone, or ``metadata`` is not a mapping.
        """
        session = self._session_with(extra_headers)
        filters = _operations.Filters(
            status=status,
            created_after=created_after,
            created_before=created_before,
            model=model,
            metadata=metadata,
        )
        operation = partial(_operations.list_splits, session, limit, filters=filters)
        return self._page(SplitPage, operation, cursor)

    def download_split(
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
        """Download the stems of a split into a folder and return their paths by stem name.

        A stem appears under its name (``vocals.wav``) only when it is complete: its length is
        verified, and its checksum where the storage announces one. A dropped download is resumed,
        even by a later call with the same folder, and an expired URL is renewed. An existing file
        is kept if length and checksum prove that it is this stem.

        Args:
            split: Split that has succeeded, or its id.
            directory: Folder for the files; created if missing.
            stems: Names of the stems to download; all if omitted.
            overwrite: True to replace existing files instead of raising FileError.
            parallel: Maximum number of simultaneous downloads.
            timeout: Time limit of the call in seconds; the client's total limit if omitted.
            on_progress: Callback that receives the progress of each download, one at a time.

        Raises:
            InputError: The split is not done, or has no such stem. SplitFailed: The split failed.
            DownloadFailed: A stem could not be downloaded. IntegrityError: It arrived damaged.
            FileError: A file cannot be written, or another file has its name. DiskFull: No space
                is left. DeadlineExceeded: The time limit was reached; call again to resume.
        """
        return self._run(
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

    def cancel_split(
        self, split_id: SplitId, *, extra_headers: Mapping[str, str] | None = None
    ) -> Split:
        """Cancel a split and refund its charge.

        The status of the split becomes ``failed``, with the error code CANCELED.

        Args:
            split_id: Id of the split, or the object returned by ``create_split``.
            extra_headers: Additional headers of the call.

        Raises:
            Conflict: The split is already done.
        """
        return self._run(_operations.cancel_split(self._session_with(extra_headers), split_id))

    def delete_split(
        self, split_id: SplitId, *, extra_headers: Mapping[str, str] | None = None
    ) -> DeletedSplit:
        """Delete a split's audio, names and metadata from the service.

        A split that is not done is canceled.

        Args:
            split_id: Id of the split, or the object returned by ``create_split``.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such split.
        """
        return self._run(_operations.delete_split(self._session_with(extra_headers), split_id))

    @property
    def with_raw_response(self) -> RawCalls:
        """The client's calls, returning their results with status, headers and request id."""
        return RawCalls(self)

    def close(self) -> None:
        """Close all connections. The client cannot be used afterwards.

        A client created by ``with_options`` leaves the connections to its original client.
        """
        self._closed = True
        if self._root is None:
            self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    submit = create_split
    get = get_split
    wait = wait_for_split
    list = list_splits
    download = download_split


StemSplitter = AiStemSplitter
