"""The client: a thin typed face on the operations, with ``_async_client.py`` as its twin."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from aistemsplitter import _download, _operations, _settings, _wait, _webhooks
from aistemsplitter._core import Session
from aistemsplitter._effects import Operation, Reply, Timeouts, Transport
from aistemsplitter._models import (
    Credits,
    DeletedSplit,
    Model,
    Split,
    SplitJob,
    TransferProgress,
    Upload,
)
from aistemsplitter._pages import SplitPage
from aistemsplitter._raw import RawCalls
from aistemsplitter._source import Source
from aistemsplitter._webhooks import HeadersLike, WebhookEvent

T = TypeVar("T")


class AiStemSplitter:
    """A client of the stem splitting service.

    Safe to share between threads. Close it, or use it in a ``with`` statement, to give its
    connections back.

    Args:
        api_key: ``ast_live_...`` or ``ast_test_...``; None for AISTEMSPLITTER_API_KEY.
        base_url: of the API; None for AISTEMSPLITTER_BASE_URL, else the hosted service. One
            without a path gets ``/v1``.
        webhook_secret: ``whsec_...``, or several while one is being rotated; None for
            AISTEMSPLITTER_WEBHOOK_SECRET. Only verify_webhook needs it.
        timeout: Seconds for a whole call with its retries and transfers, or ``Timeouts`` for the
            phases too. By default a call of the API may take 60 s, and an upload or a download as
            long as it makes progress.
        max_retries: tries after the first, where a retry may help.
        transport: answers in place of the network, such as ``aistemsplitter.testing.FakeService``.

    Raises:
        ConfigurationError: no key, or one of these cannot be right.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        webhook_secret: str | Sequence[str] | None = None,
        timeout: float | Timeouts | None = None,
        max_retries: int = 4,
        transport: Transport | None = None,
    ) -> None:
        # Only now: a program that verifies webhooks never needs the HTTP library.
        from aistemsplitter._http import SyncDriver

        self._session = Session(
            base_url=_settings.base_url(base_url),
            timeouts=_settings.timeouts(timeout),
            max_retries=_settings.max_retries(max_retries),
        )
        self._webhook_secrets = _settings.webhook_secrets(webhook_secret)
        self._driver = SyncDriver(_settings.api_key(api_key), transport)

    def create_split(
        self,
        input: Source | Mapping[str, str] | None = None,
        *,
        audio_url: str | None = None,
        stem_model: str | None = None,
        model: str | None = None,
        output_format: str | None = None,
        stems: Sequence[str] | None = None,
        webhook_url: str | None = None,
        metadata: Mapping[str, str] | None = None,
        filename: str | None = None,
        idempotency_key: str | None = None,
        on_progress: Callable[[TransferProgress], object] | None = None,
    ) -> SplitJob:
        """Submit audio to be split; returns at once, with the id and ``queued``.

        A billed call: it bears an idempotency key, made once and kept over all retries, so that
        none of them makes or charges a second split.

        Args:
            input: ``{"type": "direct_url", "url": ...}``, ``{"type": "uploaded_file", "uploadId":
                ...}``, a URL, or what is uploaded first: a local path, bytes, a file open for
                reading bytes, or anything that gives bytes piecewise.
            audio_url: the short form of an input by URL.
            stem_model: ``htdemucs_ft`` (the server's default), ``htdemucs``, ``htdemucs_6s``, ...
            model: the short form of stem_model.
            output_format: ``wav`` (the server's default), ``mp3``, ``flac``, ...
            stems: only these are made, such as ``["vocals", "instrumental"]``; None for all.
            webhook_url: is told when the split is done.
            metadata: is returned untouched with the split and in the webhook.
            filename: the name under which to upload what has none, such as bytes.
            idempotency_key: instead of one made here; up to 255 ASCII characters. Called again
                with the same key and the same audio, also by another process, it is the same
                split, and a file is not uploaded a second time.
            on_progress: is told how far the upload has got.

        Raises:
            InsufficientCredits: with the seconds missing. ModelUnavailable, ValidationFailed.
            FileError: the file cannot be read. FileChanged: it changed meanwhile.
            UploadFailed: the storage did not take it.
        """
        told = _operations.Submission(
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
        )
        return self._run(_operations.create_split(self._session, told))

    def get_split(self, split_id: str) -> Split:
        """Read a split as it stands; the URLs of its stems are fresh.

        Raises:
            NotFound: there is no such split in this account.
        """
        return self._run(_operations.get_split(self._session, split_id))

    def wait_for_split(
        self,
        split_id: str,
        *,
        timeout: float | None = 1800.0,
        on_progress: Callable[[Split], object] | None = None,
    ) -> Split:
        """Wait until a split has succeeded.

        Follows the server's progress stream where it has one, and polls when the stream is silent
        or missing, backing off from 1 s to 10 s. Connection errors and server errors do not end the
        wait.

        Args:
            timeout: seconds for the whole wait; None waits without end.
            on_progress: is shown the split whenever it has changed.

        Raises:
            SplitFailed: it ended as failed; has its code.
            WaitTimeout: the time is up. The job goes on: wait again to pick it up.
        """
        return self._run(
            _wait.wait_for_split(self._session, split_id, timeout=timeout, on_progress=on_progress)
        )

    def list_splits(
        self, *, limit: int | None = None, cursor: str | None = None, status: str | None = None
    ) -> SplitPage:
        """Read the account's splits, newest first, a page at a time; iterates across pages.

        Args:
            limit: splits a page, 1 to 100; the server's default is 20.
            cursor: the ``next_cursor`` of the page before.
            status: only those in this status.
        """
        operation = _operations.list_splits(self._session, limit, cursor, status)

        def turn(cursor: str) -> SplitPage:
            return self.list_splits(limit=limit, cursor=cursor, status=status)

        return SplitPage(self._run(operation), turn)

    def download_split(
        self,
        split: str | Split,
        directory: str | os.PathLike[str],
        *,
        stems: Sequence[str] | None = None,
        overwrite: bool = False,
        parallel: int = 4,
        timeout: float | None = None,
        on_progress: Callable[[TransferProgress], object] | None = None,
    ) -> dict[str, Path]:
        """Fetch the stems into a folder; returns where each lies.

        A stem appears under its name (``vocals.wav``) only when it is whole: its length and, where
        the storage announces one, its checksum are verified. A broken download is resumed, also by
        a later call with the same folder; a URL that has expired is renewed. A file that is there
        already is kept if length and checksum prove that it is this stem.

        Args:
            split: a split that has succeeded, or its id.
            directory: is made if it is missing.
            stems: only these; None for all.
            overwrite: Replace other files of the same names instead of raising FileError.
            parallel: downloads at once.
            timeout: Seconds for all of them together; by default the client's, if it has one.
            on_progress: Called with the progress of each stem, never twice at once.

        Raises:
            InputError: the split is not done, or has no such stem. SplitFailed: it failed.
            DownloadFailed: a stem could not be fetched. IntegrityError: it came damaged.
            FileError: It cannot be written, or another file has its name. DiskFull: No space is
                left. DeadlineExceeded: The time is up; the next call resumes the download.
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

    def create_upload(
        self, filename: str, *, content_length: int, content_type: str | None = None
    ) -> Upload:
        """Reserve an upload straight to the storage, to be carried out by other means.

        ``create_split`` does all this by itself for a path or a file.

        Args:
            content_length: of the file, in bytes; an upload of another length is refused.
            content_type: its media type; None to go by the name.

        Raises:
            PayloadTooLarge: over the server's limit.
        """
        return self._run(
            _operations.create_upload(self._session, filename, content_length, content_type)
        )

    def verify_webhook(
        self,
        headers: HeadersLike,
        raw_body: bytes | str,
        *,
        tolerance: float = _webhooks.TOLERANCE,
    ) -> WebhookEvent:
        """The event of a delivery that this service has signed, lately. Needs no network.

        Args:
            headers: of the request, as any framework gives them.
            raw_body: the bytes as they came, before any parsing.
            tolerance: seconds that the signature's time may differ from now, either way.

        Raises:
            InvalidWebhook: whatever is wrong with headers or body.
            ConfigurationError: the client has no webhook secret.
        """
        return _webhooks.verify(headers, raw_body, self._webhook_secrets, tolerance)

    def cancel_split(self, split_id: str) -> Split:
        """Cancel a split: it ends as failed with the code CANCELED, its charge is given back.

        Raises:
            Conflict: it is already done.
        """
        return self._run(_operations.cancel_split(self._session, split_id))

    def delete_split(self, split_id: str) -> DeletedSplit:
        """Delete a split's audio."""
        return self._run(_operations.delete_split(self._session, split_id))

    def get_credits(self) -> Credits:
        """Read the account's balance, in seconds of audio."""
        return self._run(_operations.get_credits(self._session))

    def models(self) -> tuple[Model, ...]:
        """Read which models this server runs, and their stems."""
        return self._run(_operations.models(self._session))

    def with_options(
        self,
        *,
        timeout: float | Timeouts | None = None,
        max_retries: int | None = None,
        idempotency_key: str | None = None,
    ) -> AiStemSplitter:
        """The same client, with the same connections, for calls of another kind.

        Args:
            timeout: Seconds for a whole call, or ``Timeouts``.
            max_retries: tries after the first.
            idempotency_key: for the one create_split that is made with the result.
        """
        session = self._session
        if timeout is not None:
            session = replace(session, timeouts=_settings.timeouts(timeout, session.timeouts))
        if max_retries is not None:
            session = replace(session, max_retries=_settings.max_retries(max_retries))
        if idempotency_key is not None:
            session = replace(session, idempotency_key=idempotency_key)
        return self._with(session)

    @property
    def with_raw_response(self) -> RawCalls:
        """The same calls, each returning its result with the status, headers and request id."""
        return RawCalls(self)

    def close(self) -> None:
        """Give all connections back; the client is of no more use."""
        self._driver.close()

    def _run(self, operation: Operation[T]) -> T:
        return self._driver.run(operation)

    def _with(self, session: Session) -> AiStemSplitter:
        twin = object.__new__(type(self))
        twin._session, twin._driver = session, self._driver
        twin._webhook_secrets = self._webhook_secrets
        return twin

    def _noting(self, on_reply: Callable[[Reply], None]) -> AiStemSplitter:
        """The same client, which shows the replies it gets."""
        return self._with(replace(self._session, on_reply=on_reply))

    def __enter__(self) -> AiStemSplitter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._session.base_url!r})"

    submit = create_split
    get = get_split
    wait = wait_for_split
    list = list_splits
    download = download_split
    presign_upload = create_upload


StemSplitter = AiStemSplitter
